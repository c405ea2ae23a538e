"""Words that turn a question into another one when they change places."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from routelab.caching.guarding.stems import listed, stem


def _opposites(text: str) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in text.strip().splitlines():
        left, right = (listed(side) for side in line.split("|"))
        for a in (form for word in left for form in {word, stem(word)}):
            for b in (form for word in right for form in {word, stem(word)}):
                found.setdefault(a, set()).add(b)
                found.setdefault(b, set()).add(a)
    return MappingProxyType({word: frozenset(others) for word, others in found.items()})


OPPOSITES = _opposites(
    """
    enable activate allow permit | disable deactivate forbid deny prohibit block ban
    on | off
    in | out
    up | down
    into | outof
    start begin launch open resume continue | stop end finish halt quit close pause abort shut
    increase raise grow rise gain lift boost climb expand maximize accelerate | decrease reduce lower shrink fall drop lose cut minimize decline diminish decelerate slow
    high higher highest tall | low lower lowest short
    more most | less least fewer fewest
    much many lots plenty | little few
    max maximum upper most | min minimum lower least
    big bigger biggest large larger largest great greater greatest huge | small smaller smallest little tiny less
    long longer longest | short shorter shortest brief
    fast faster fastest quick quicker quickest rapid | slow slower slowest
    hot hotter hottest warm | cold colder coldest cool
    wet | dry
    hard harder | soft softer easy easier
    difficult | easy simple
    strong stronger strongest | weak weaker weakest
    heavy heavier | light lighter
    thick thicker | thin thinner
    wide wider broad | narrow narrower
    deep deeper | shallow
    full | empty half
    early earlier earliest | late later latest
    old older oldest ancient | new newer newest young younger youngest recent modern
    good better best | bad worse worst
    right correct true accurate | wrong incorrect false inaccurate
    ok okay fine | wrong
    oneway | roundtrip return
    safe harmless | dangerous harmful hazardous risky
    edible | poisonous toxic
    cheap cheaper cheapest inexpensive | expensive dearer
    rich | poor
    positive | negative
    plus add | minus subtract
    add append include insert attach | remove delete exclude drop detach
    multiply | divide
    accept approve agree admit | reject decline refuse deny disagree
    win | lose defeat
    win succeed success pass | fail failure lose
    buy purchase buyer | sell seller
    send sender give export upload push | receive receiver recipient take get import download pull
    lend lender | borrow borrower
    employer boss manager | employee worker
    landlord lessor | tenant lessee renter
    plaintiff claimant prosecutor | defendant accused
    doctor physician nurse | patient
    teacher professor | student pupil
    host | guest
    parent | child
    ancestor predecessor | descendant successor
    mother mom mum | father dad
    husband | wife
    brother | sister
    son | daughter
    king | queen
    man men boy male | woman women girl female
    he him his | she her hers
    mr | mrs ms miss
    uncle | aunt
    nephew | niece
    client | server
    master primary leader | slave replica standby follower secondary
    frontend | backend
    input | output
    source | destination target
    push press hold | release
    pull | push
    lock locked | unlock unlocked
    connect attach join | disconnect detach leave
    mount | unmount
    install | uninstall remove
    encrypt | decrypt
    encode | decode
    compress zip | decompress extract unzip
    merge join combine | split separate divide
    show display reveal | hide conceal
    expand | collapse
    follow | unfollow
    freeze | thaw unfreeze melt
    sharpen | blur
    improve | worsen
    benefit advantage upside pro strength | drawback disadvantage downside con weakness risk harm
    cause | prevent cure
    create make build construct | destroy delete demolish break
    save keep store retain | discard delete spend
    remember | forget
    love like | hate dislike
    arrive arrival enter entry come check-in incoming inbound | depart departure leave exit go outgoing outbound
    login | logout
    checkin | checkout
    optin | optout
    zoomin | zoomout
    inside indoor internal inner | outside outdoor external outer
    above over top upper | below under bottom lower
    left | right
    north northern | south southern
    east eastern | west western
    front forward | back backward rear reverse
    before prior | after
    first | last
    previous last past | next following coming upcoming future
    begin beginning | end ending
    public | private
    legal lawful | illegal unlawful
    mandatory compulsory required obligatory | optional voluntary
    manual | automatic
    temporary | permanent
    single unmarried | married
    lost missing | found
    lost | stolen
    pending | declined approved complete completed posted
    failed | pending successful succeeded
    alive live living | dead
    birth born | death die died
    awake wake | asleep sleep
    ask question | answer
    question | answer
    debit | credit
    deposit | withdraw withdrawal
    profit gain | loss
    asset | liability
    income revenue | expense expenditure
    gross | net
    import | export
    supply | demand
    buyer customer | seller vendor
    virtual digital online | physical offline
    online | offline
    local domestic national | remote foreign international
    active | inactive passive
    synchronous sync | asynchronous async
    static | dynamic
    mutable | immutable
    odd | even
    even | odd
    prime | composite
    horizontal | vertical
    row | column
    ascending | descending
    absolute | relative
    exothermic | endothermic
    acid acidic | base basic alkaline
    healthy | sick ill
    sun sunny | shade shady
    day | night
    sunrise dawn | sunset dusk
    tight | loose
    contract | relax expand
    encourage | discourage
    attack | defend defense
    victory | defeat
    friend ally | enemy foe
    majority | minority
    maximum | minimum
    lend | borrow
    upgrade | downgrade
    promote promotion | demote demotion
    hire | fire dismiss
    trust | distrust
    include including | exclude excluding without except
    with | without
    some any | none
    all everything everyone | none nothing nobody
    always | never
    taxable | tax-free exempt
    free | paid
    sweet | sour bitter salty
    raw | cooked
    fresh | stale rotten
    clean | dirty
    sender | recipient
    caller | callee
    inductive | deductive
    qualitative | quantitative
    supervised | unsupervised
    convex | concave
    singular | plural
    numerator | denominator
    integral integrate | derivative differentiate
    lend lent | borrow borrowed
    """
)
"""Words that turn a question into another one when they change places, as they are spelled; stems are tried too."""

PREFIXES = ("un", "in", "im", "il", "ir", "dis", "de", "non", "mis", "anti", "counter")
PAIRED = (("hyper", "hypo"), ("over", "under"), ("pre", "post"), ("exo", "endo"), ("up", "down"), ("in", "out"), ("inter", "intra"),
          ("macro", "micro"), ("pro", "anti"), ("multi", "single"), ("en", "de"), ("in", "ex"), ("im", "ex"), ("a", "de"), ("maxi", "mini"))  # fmt: skip


def opposed(word: str, others: Collection[str], prefixed: bool = True) -> str | None:
    """Return which of other words is an opposite: by the table, by a prefix, or by paired prefixes; None when none is.

    `prefixed` False looks only into the table.

    >>> opposed("safe", {"unsafe"}), opposed("hyperglycemia", {"hypoglycemia"}), opposed("safe", {"secure"})
    ('unsafe', 'hypoglycemia', None)
    """
    for other in sorted(OPPOSITES.get(word, ())):
        if other in others:
            return other
    if len(word) < 3 or not prefixed:
        return None
    for prefix in PREFIXES:
        longer = prefix + word
        if longer in others:
            return longer
        if word.startswith(prefix) and len(word) >= len(prefix) + 3 and word[len(prefix) :].lstrip("-") in others:
            return word[len(prefix) :].lstrip("-")
    for left, right in PAIRED:
        for a, b in ((left, right), (right, left)):
            if word.startswith(a) and len(word) >= len(a) + 4 and b + word[len(a) :] in others:
                return b + word[len(a) :]
    return None
