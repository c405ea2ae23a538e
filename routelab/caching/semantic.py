"""The semantic cache: a question that is like one that was answered gets its answer, unless a guard objects.

Everything but the question's words must be equal first (`request.Asked.namespace`); likeness counts within that only. What is here is an
index: the log is the truth, and it is read when a namespace is first asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from routelab.caching.entry import FOR_EVER, Entry, Lifetime, of_run
from routelab.caching.reach import comparable
from routelab.caching.records import Records, Unkept
from routelab.caching.request import Asked, asked
from routelab.caching.room import Near, Room
from routelab.caching.settings import SIZE, SemanticConfig
from routelab.caching.trouble import Complaints
from routelab.core.errors import RoutelabError
from routelab.core.events import Missed, Recalled, Remembered
from routelab.core.ports import Clock
from routelab.core.run import Run
from routelab.core.values import Prompt, draw

if TYPE_CHECKING:
    from routelab.caching.guard import Guard

LOOK = 5
"""How many of the nearest questions a guard may object to before the model is asked."""
NEAR = 0.5
"""The least cosine that counts as near where entries learn thresholds of their own."""
KNOWN = "the nearest entry gives this answer already"
"""Why an answer that was asked for to learn from is not kept beside the one that it says again."""
LONG_S = 1e9
"""A lifetime as long as this has no beginning that a calendar could name."""
# An embedder is somebody's runtime, an index somebody's library: what they raise when they cannot.
TROUBLE = (RoutelabError, OSError, RuntimeError, ValueError, KeyError, AttributeError)


class Semantic:
    """Answers to like questions, by namespace; at most `size` in memory, the longest unused leave first.

    `same` says whether two answers to a prompt say the same: entries learn their own thresholds by it (`per_entry`). Trouble with the
    embedder, the index or the log is a miss, with one warning, never an error. Safe among threads.
    """

    kind = "semantic"

    def __init__(
        self,
        *,
        settings: SemanticConfig,
        clock: Clock,
        lifetime: Lifetime = FOR_EVER,
        size: int = SIZE,
        records: Records | None = None,
        same: Callable[[str, str, Prompt], bool] | None = None,
    ) -> None:
        from routelab.caching.guard import guard_of

        self.settings = settings
        self._clock = clock
        self._lifetime = lifetime
        self._size = size
        self._records = records if records is not None else Unkept()
        self._same = same or _equal
        self._guard: Guard = guard_of(settings.lexical)
        self._lock = threading.RLock()
        self._rooms: dict[str, Room] = {}
        self._used: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._explored: OrderedDict[str, tuple[str, Near]] = OrderedDict()
        self._complaints = Complaints()

    def __len__(self) -> int:
        return len(self._used)

    def key(self, run: Run, scope: str) -> str:
        """Return the namespace: the digest of all but the question's words, the embedder included."""
        return self._asked(run, scope).namespace

    def look(self, run: Run, scope: str) -> Recalled | Missed:
        """Return Recalled with the nearest answer that the guard does not object to, or Missed with the nearest question."""
        request = self._asked(run, scope)
        self._records.sync()
        with self._lock:
            room = self._filled(request.namespace)
            entry = room.told(request.text)
            if entry is not None and (found := self._recalled(request, Near(entry=entry, similarity=1.0))) is not None:
                return found
            if not request.text.strip() or len(room) == 0:
                return Missed(cache=self.kind, key=request.namespace)
        if not self._comparable(request.text):
            return Missed(cache=self.kind, key=request.namespace, why="longer than the embedder reads")
        try:
            vector = self._vectors([request.text])[0]
            with self._lock:
                return self._among(self._filled(request.namespace), request, vector, run)
        except TROUBLE as trouble:
            self._complaints.say("like questions cannot be looked up", trouble)
            with self._lock:
                self._room(request.namespace).rebuild()
            return Missed(cache=self.kind, key=request.namespace, why="the index or the embedder failed")

    def keep(self, run: Run, key: str, label: str = "") -> Remembered:
        """Remember the run's answer, and what it taught: an explored question whose answer an entry has needs no entry of its own."""
        entry = of_run(run, key, label)
        event = Remembered(cache=self.kind, key=key, label=label)
        with self._lock:
            room = self._room(key)
            namespace, near = self._explored.pop(run.id, ("", None))
            if near is not None and namespace == key:
                right = self._same(near.entry.text, entry.text, run.prompt)
                room.learn(run.id, near.entry.run_id, near.similarity, right)
                event = replace(event, learned=right, similarity=near.similarity, entry=near.entry.run_id)
                if right:
                    return replace(event, refused=KNOWN)
            self._put(room, [entry])
        if self._comparable(entry.asked):
            try:
                self._records.keep_vectors(self._embedder_id(), room.vectors_of([entry], self._vectors))
            except TROUBLE as trouble:
                self._complaints.say("questions cannot be embedded", trouble)
        return event

    def forget(self, label: str | None = None) -> None:
        """Forget what is in memory, all or what was kept under a label."""
        with self._lock:
            for name, room in list(self._rooms.items()):
                for entry in room.entries():
                    if label is None or entry.label == label:
                        self._drop(name, entry)

    # With the lock held.

    def _among(self, room: Room, request: Asked, vector: Any, run: Run) -> Recalled | Missed:
        """Return the nearest that may answer, or why none does."""
        self._index(room)
        least = NEAR if self.settings.threshold is None else self.settings.threshold
        # Nearly always the nearest one answers: the others are looked for only where it may not.
        near = self._alive(room, vector, 1, least)
        if not near:
            # Whoever reads the log wants to know how far the nearest was; a model's answer takes longer than looking again.
            return self._missed(request, next(iter(self._alive(room, vector, 1)), None))
        first, objection = near[0], ""
        tried: set[str] = set()
        while near:
            for each in near:
                tried.add(each.id)
                objected = self._guard(request.text, each.entry.asked)
                if objected is not None:
                    objection = objection or str(objected)
                    continue
                why = self._explores(room, each, request.namespace, run)
                if why:
                    return self._missed(request, each, why=why)
                found = self._recalled(request, each)
                if found is not None:
                    return found
            near = [n for n in self._alive(room, vector, LOOK, least) if n.id not in tried] if len(tried) < LOOK else []
        return self._missed(request, first, objection=objection)

    def _alive(self, room: Room, vector: Any, k: int, at_least: float = -1.0) -> list[Near]:
        """Return the nearest that are not past their time, and drop those that are."""
        near = room.nearest(vector, k, at_least)
        while gone := [n.entry for n in near if self._gone(n.entry)]:
            for entry in gone:
                self._drop(room.namespace, entry)
            near = room.nearest(vector, k, at_least)
        return near

    def _missed(self, request: Asked, near: Near | None, *, objection: str = "", why: str = "") -> Missed:
        return Missed(
            cache=self.kind,
            key=request.namespace,
            nearest=None if near is None else near.similarity,
            like="" if near is None else near.entry.asked,
            objection=objection,
            why=why,
        )

    def _recalled(self, request: Asked, near: Near) -> Recalled | None:
        age_s = near.entry.age_s(self._clock.now())
        state = self._lifetime.state(age_s)
        if state == "expired" or self._records.forgotten(near.entry):
            self._drop(request.namespace, near.entry)
            return None
        self._used.move_to_end((request.namespace, near.id))
        return Recalled(
            cache=self.kind,
            key=request.namespace,
            text=near.entry.text,
            model=near.entry.model,
            similarity=near.similarity,
            source_run=near.entry.run_id,
            simulated=near.entry.simulated,
            like=near.entry.asked,
            age_s=age_s,
            stale=state == "stale",
        )

    def _explores(self, room: Room, near: Near, namespace: str, run: Run) -> str:
        """Return why the model is asked although an entry is near, or ""."""
        if self.settings.per_entry is None:
            return ""
        from routelab.caching.entrywise import decide

        error = float(self.settings.per_entry["error"])
        decision = decide(near.similarity, room.seen(near), error=error, chance=draw(run.seed, "explore", run.id))
        if not decision.explore:
            return ""
        self._explored[run.id] = (namespace, near)
        while len(self._explored) > LOOK * 1000:  # runs that ended without an answer
            self._explored.popitem(last=False)
        return f"asked to learn how far the nearest answer reaches (chance {decision.explore_chance:.2f})"

    def _filled(self, namespace: str) -> Room:
        """Return the namespace's room with what the log has learned since the last look."""
        room = self._room(namespace)
        whole_s = self._lifetime.whole_s
        since = None if whole_s is None else self._clock.now() - timedelta(seconds=min(whole_s, LONG_S))
        found, room.noted = self._records.within(namespace, room.noted, room.runs, since, self._size)
        self._put(room, [e for e in found if not self._gone(e)], read=True)
        if self.settings.per_entry is not None and len(room):
            self._taught(room)
        return room

    def _taught(self, room: Room) -> None:
        """Let the room's entries know what earlier processes and others have learned about them."""
        new = self._records.lessons(room.namespace, room.heard)
        lessons = [lesson for lesson in new if not self._records.lapsed(lesson)]
        # An answer that was given again since is another run's by now; what was learned about it holds for its words.
        strange = {lesson.entry for lesson in lessons} - room.runs.keys()
        told = self._records.answers(room.namespace, strange) if strange else ()
        if told is None:
            return
        for entry in told:
            room.place(entry)
        for lesson in lessons:
            room.learn(lesson.run_id, lesson.entry, lesson.similarity, lesson.right)
        room.heard += len(new)

    def _room(self, namespace: str) -> Room:
        """Return the namespace's room; one without an entry is not kept, as conversations have a namespace each."""
        found = self._rooms.get(namespace)
        return Room(namespace=namespace, index=self.settings.index) if found is None else found

    def _put(self, room: Room, entries: Sequence[Entry], *, read: bool = False) -> None:
        for entry in entries:
            known = room.told(entry.asked)
            if known is None or known.kept_at <= entry.kept_at:
                self._rooms[room.namespace] = room
                place = (room.namespace, room.put(entry, read=read))
                self._used[place] = None
                self._used.move_to_end(place)
        while len(self._used) > self._size:
            namespace, oldest = next(iter(self._used))
            self._drop(namespace, self._rooms[namespace].entry(oldest))

    def _index(self, room: Room) -> None:
        """Bring the room's index up to date: vectors come from the log, and what it lacks is embedded."""
        waiting = [e for e in room.waiting() if self._comparable(e.asked)]
        if not waiting:
            return
        # What this process remembered itself, it has embedded; what came out of the log has its vector there.
        read = [room.id_of(e) for e in waiting if room.was_read(e)]
        known = self._records.vectors(self._embedder_id(), read) if read else {}
        room.index_them(waiting, known, self._vectors)

    def _drop(self, namespace: str, entry: Entry) -> None:
        room = self._room(namespace)
        self._used.pop((namespace, room.id_of(entry)), None)
        room.drop(entry)
        if len(room) == 0:
            self._rooms.pop(namespace, None)

    def _gone(self, entry: Entry) -> bool:
        expired = self._lifetime.state(entry.age_s(self._clock.now())) == "expired"
        return expired or self._records.forgotten(entry)

    # Texts

    def _asked(self, run: Run, scope: str) -> Asked:
        try:
            embedder = self._embedder_id()
        except TROUBLE as trouble:
            self._complaints.say("there is no embedder", trouble)
            embedder = "none"
        return asked(run, scope, embedder=embedder)

    def _embedder_id(self) -> str:
        from routelab.embedding.vectors import id_of

        return id_of(self.settings.embedder)

    def _vectors(self, texts: Sequence[str]) -> Any:
        from routelab.embedding.vectors import vectors

        return vectors(self.settings.embedder, texts)

    def _comparable(self, text: str) -> bool:
        return comparable(self.settings.embedder, text)


def _equal(one: str, two: str, prompt: Prompt) -> bool:
    return one.split() == two.split()
