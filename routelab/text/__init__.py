"""What prose and Markdown are made of: sentences, words, blocks. Chunkers, compressors and summaries divide texts alike."""
