"""Words that may stand for each other in a question."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from routelab.caching.guarding.stems import listed, stem


def _groups(text: str) -> Mapping[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for number, group in enumerate(listed(text, ";")):
        for form in sorted({form for word in listed(group) for form in (word, stem(word))}):
            found.setdefault(form, []).append(number)
    return MappingProxyType({form: tuple(numbers) for form, numbers in found.items()})


SYNONYMS = _groups(
    """
    fix repair mend; resolve solve fix; begin start commence initiate; end finish conclude; stop halt cease; complete finish;
    continue proceed; pause suspend; buy purchase; get obtain receive acquire; get retrieve fetch obtain; need require; want desire;
    help assist aid support; show display present; show demonstrate illustrate; tell inform notify alert; explain describe clarify;
    define specify state; specify indicate; summarize summary; answer reply respond response; ask inquire query; talk speak; speak say;
    remove delete erase eliminate; create make build generate produce construct; develop build create; change modify alter edit adjust;
    update upgrade; update refresh; choose select pick; keep retain hold; save store keep; search seek; find locate; look appear seem;
    include contain comprise; contain hold; include incorporate; use utilize employ; run execute perform; run operate; call invoke run;
    carry perform conduct; do perform; allow permit enable let; forbid prohibit ban; enable activate; disable deactivate;
    configure setup set config; register enroll enrol signup; cancel terminate; cancel revoke; leave depart; arrive come arrival; reach arrive;
    ship deliver delivery; send transmit; send submit; transfer move; move migrate; migrate port; return give yield;
    return retrieve; give provide offer supply furnish; provide supply deliver; grant give; accept take; reject refuse decline; receive take;
    check verify examine inspect validate; verify confirm; confirm check; test examine; test exam examination; ensure guarantee;
    guarantee promise warrant; avoid prevent; prevent stop; protect safeguard secure; reset restore; restore recover; recover regain;
    calculate compute; calculate work; estimate guess; measure gauge; count number; number amount quantity; amount volume; amount sum; total sum;
    raise increase grow rise up higher; enlarge increase expand extend; larger increase; reduce lower decrease drop cut; decrease decline;
    improve better enhance boost; worsen deteriorate; accelerate faster quicker quick speed; shorten short shorter; simplify simple simpler;
    combine merge join unite; join attach; split separate divide; link connect; connect join attach; attach append; add append; add incorporate;
    show reveal; hide conceal; open launch; launch start; close shut; lock secure; reply respond; discuss talk; teach train instruct; learn study;
    know understand; understand comprehend grasp; realize understand; notice see observe; watch observe; view see look; read peruse; decide determine;
    determine establish find; establish create set; identify recognize; detect discover find; discover find explore; explore examine investigate;
    investigate research; analyze examine; compare contrast; arrange organize sort order; organize manage; manage handle administer; handle process deal;
    control manage; oversee manage supervise; share distribute; distribute spread; publish release; issue release;
    happen occur; cause reason why; cause trigger; lead cause; result outcome; result consequence; effect impact consequence; affect influence impact;
    depend rely; belong own; own possess; rent hire; rent lease; hire employ recruit; fire dismiss; quit resign; retire quit; earn make; spend pay;
    pay payment; refund reimburse; repay refund; owe due; due deadline; cost price fee charge; charge fee expense; cost expense; bill invoice; money cash funds;
    salary wage pay; income earnings; cheap inexpensive affordable; cheap cheaper low-cost; costly expensive; free gratis; rich wealthy; poor needy;
    big large huge; bigger larger; enormous massive huge; vast large; small little tiny; quick fast rapid swift; quickly fast rapidly; slow sluggish;
    easy simple straightforward; easiest simplest; hard difficult tough challenging; important significant crucial vital essential key; main primary principal;
    mainly primarily chiefly; major big; entire whole complete full; total entire; complete full; enough sufficient; necessary required needed; mandatory required compulsory obligatory;
    optional voluntary; correct right; wrong incorrect; accurate exact precise; safe secure; dangerous harmful hazardous risky unsafe; harmful damaging bad; healthy wholesome;
    ill sick unwell; illness disease sickness; injury wound; pain ache; doctor physician; medicine drug medication; drug medication; cure heal treat; treat therapy treatment; tired exhausted;
    happy glad; sad unhappy; angry mad; afraid scared; pretty beautiful; ugly unattractive; smart clever intelligent; stupid dumb; strange odd weird unusual; normal usual typical regular ordinary;
    common widespread frequent; frequently often; rare uncommon; popular famous; famous known renowned; new novel; modern contemporary; recent latest; old aged age; ancient old;
    current present; currently presently; previous earlier former prior; following next subsequent; subsequently afterwards later; immediately instantly; instant immediate; finally eventually lastly;
    firstly first; approximately about roughly around; almost nearly; exactly precisely; especially particularly; also additionally furthermore moreover besides; another additional extra spare; therefore thus hence consequently;
    however nevertheless; otherwise else; automatically automatic; entirely completely fully wholly; solely only; various different diverse several; various multiple several; different distinct; differ difference different;
    same identical; similar alike; equal same; opposite contrary; suitable appropriate fitting; suitable proper; relevant applicable pertinent; applicable apply; specific particular; special particular; custom personalized customized;
    advanced sophisticated; basic fundamental elementary; basic simple; base foundation basis; default standard; general overall; public open; private personal; visible shown; available accessible; empty blank; full filled;
    car automobile vehicle; lorry truck; phone mobile cellphone smartphone telephone; tv television; photo picture image photograph; picture drawing; movie film; film cinema; film shoot; child kid; baby infant; boy lad;
    job work employment position; task job; work function operate; profession occupation; company firm business corporation enterprise; boss manager; colleague coworker; customer client; shop store; store retail; market marketplace;
    country nation; city town; town village; village hamlet; world globe global worldwide earth; place location spot; location destination; area region zone; area surface; street road; path way; house home; flat apartment; room chamber;
    sofa couch; tap faucet; holiday vacation; trip journey travel; tour trip; luggage baggage; ticket pass; autumn fall; lift elevator; cv resume; parcel package; rubbish trash garbage waste; petrol gasoline gas; cookie biscuit; sweets candy;
    pavement sidewalk; mail email e-mail; mail post; letter note; gift present; ad advertisement advert; maths math mathematics; mistake error fault; error bug; error failure; bug defect; failure crash fail; problem issue trouble;
    message notification; lawyer attorney solicitor; law legislation; law rule regulation; rule policy; agreement contract; permission consent; permission authorization; crime offense; police cops; judge court;
    author write written writer wrote; painter paint painted; owner own; teacher teach taught; winner win won; inventor invent; founder found founded; builder build built; director direct; leader lead led; user person; people person population inhabitants;
    inhabitant resident; human person; man guy; friend buddy pal; husband spouse; wife spouse; mother mom mum; father dad; grandmother grandma; grandfather grandpa; birth born; death die; die decease; kill murder; marry wed; married marriage;
    distance far; height tall; weight weigh heavy; length long; duration long length take last; width wide; depth deep; speed fast; size large big; size dimension; age old;  frequency often frequently;
    function purpose role; purpose goal aim objective; meaning mean; term word; phrase expression; name title call; called named; heading title; label tag; category class type; class kind; group category; group batch; group set; list enumerate;
    part component; component element; piece part; portion part share; step stage; stage phase; structure layout; layout arrangement; form shape; format form; style format; shape form; design layout; pattern template; order sequence; sequence series;
    example sample instance; sample example; copy duplicate; original source; origin source; top upper; bottom lower; front fore; back rear; border boundary; limit maximum cap; limit restriction; range scope; level degree;
    downside disadvantage drawback con; upside advantage benefit pro; advantage benefit; strength advantage; weakness disadvantage; danger risk hazard; chance opportunity; chance probability likelihood; possibility option; option choice alternative; setting option parameter;
    parameter argument param; argument input; attribute property; property feature; feature characteristic; method function; method approach technique; way manner method; technique procedure; procedure process; tool utility; tool instrument; device gadget machine;
    device appliance; machine computer; computer pc; program application app software; platform system; platform hub; library package; package module; repository repo; directory folder; file document; document documentation doc; page webpage site;
    site website; link url; command cmd; database db; environment env; variable var; development dev; production prod; javascript js; typescript ts; kubernetes k8s; postgres postgresql; authentication auth; administrator admin; information data; data info; configuration config; configuration setting;
    implementation implement; documentation docs; specification spec; statistics stats; average mean; median middle; graph chart plot; chart diagram; image graphic; text textual; vision visual; audio sound; memory ram; disk drive; screen display monitor; keyboard keypad;
    save backup; download fetch; upload post; print output; output result; input enter; enter type; type write; click press; press push; hit press; select click; login sign; password passcode;
    meal dish; dish food; food eat; cook prepare; prepare ready; prepare make; ingredient component; recipe instruction; instruction guide manual; guide manual tutorial; guide guidance; advice tip; suggestion idea; idea thought; opinion view; belief opinion;
    story tale; poem verse; song track; band group; game match; match game; team squad; competition contest; target aim; plan schedule; schedule timetable; appointment meeting; meeting conference; event occasion; party celebration;
    celebrate mark; tradition custom; culture civilization; religion faith; battle fight; fight struggle; attack assault; army military; soldier troop; ruler king; vote elect; election vote; tax levy; law statute; right entitlement; entitled eligible; eligible qualify;
    qualify eligible entitled; allowed permitted may; able can; unable cannot; ought should; dwell live; live reside; stay remain; remain keep; wait await; hurry rush; walk stroll; jump leap; fall drop; throw toss; pull drag; push shove; lift raise; turn rotate; rotate spin; bend curve; break damage; broken damaged faulty; damage harm; destroy demolish ruin;
    clean wash; dirty filthy; dry arid; wet moist damp; smell odor; taste flavor; color hue; noise sound; quiet silent; loud noisy; bright vivid; dark dim; sharp keen; soft gentle; rough coarse; smooth even; strong powerful; weak feeble; brave courageous; calm peaceful; kind nice; rude impolite; honest truthful; famous celebrated; rapid quick; gain acquire; lose misplace; lost missing;
    missing absent; absent away; empty vacant; busy occupied; ready prepared; certain sure; sure certain; likely probable; probably likely; maybe perhaps possibly; uk britain british; usa america american us; france french; spain spanish; poland polish; netherlands dutch; switzerland swiss; denmark danish; sweden swedish; turkey turkish; greece greek; wales welsh; portugal portuguese;
    china chinese; peru peruvian; ireland irish; germany german; cutting-edge state-of-the-art; leading top; unchanged unaltered; extract unpack; extract retrieve; compress zip; corresponding matching related associated; related associated relevant; relate connect; initiate begin start; consult refer; refer reference; mention cite; quote cite quotation; appear show; accompany escort;
    reach contact; contact call; call phone ring; track trace follow; follow pursue; monitor watch track; complain complaint; apply application; request ask demand; demand require; book reserve; reservation booking; ratio proportion; percentage percent share;
    stuck trapped; prevent block stop; feature option; determine calculate; check verification; recover reset; eat swallow; request want ask; choose decide;
    exit quit leave close; message note memo text; vaccination vaccine vaccinate shot jab injection inoculation; contest dispute challenge appeal fight;
    parse convert translate; reactivate reinstate; compute calculate find; run flow; arrive receive; set change adjust; reschedule move postpone shift;
    revert undo rollback reverse; employee staff worker personnel; fridge refrigerator; contact reach; expire lapse; expire end; crash freeze hang;
    coupon voucher promo; subscription membership plan; declined rejected refused denied; blocked locked suspended; charge debit deduct bill;
    transaction payment; shipment parcel package; stuck frozen; slow laggy; broken malfunctioning defective; warranty guarantee; go golang; duration period;
    withdraw pull; abort cancel; cancel annul; shrink compress; copy replicate; enlarge resize; wash rinse; rinse clean; pan skillet; drain empty; mount install;
    mount attach; hang mount; load import; download import; filter query; city municipality; plane flight airplane aeroplane; substitute replace; swap exchange replace change;
    replace change; rewrite rephrase reword paraphrase; proofread correct; shorten abridge; draft write compose; invent create; inventor creator; colleague workmate teammate;
    insurer insurance; landlord owner; flatmate roommate housemate; pupil student; physician gp; hospital clinic; pharmacy chemist drugstore; stomach belly tummy;
    trousers pants; jumper sweater; underground subway metro tube; railway railroad rail train; motorway highway freeway; driver motorist; queue line; post mail;
    autumn fall; tyre tire; boot trunk; bonnet hood; crisps chips; aubergine eggplant; courgette zucchini; coriander cilantro; mince ground; hoover vacuum; nappy diaper;
    pram stroller; torch flashlight; bin trash; cooker stove; hob stove; oven stove; plaster bandage; paracetamol acetaminophen tylenol; mobile cell; timetable schedule;
    overdue late; tardy late; begin commence; permitted legal allowed; obligatory obliged required; purchase order; sum add; sign symbol; worth value; value price;
    spouse partner; kid youngster; senior elderly; teen teenager adolescent; nearby near close; distant far; stay accommodation; hotel accommodation; journey ride;
    """
)
"""Groups of words that may stand for each other in a question; a word may be in several."""


def groups(word: str, root: str) -> tuple[int, ...]:
    """Return the groups of a word and of its stem.

    >>> set(groups("purchased", "purchas")) & set(groups("buy", "buy")) != set()
    True
    """
    found = SYNONYMS.get(word, ()) + (SYNONYMS.get(root, ()) if root != word else ())
    if not found and word.endswith(("er", "est")):
        bare = word.removesuffix("er").removesuffix("est")
        return SYNONYMS.get(bare) or SYNONYMS.get(bare[:-1] if bare[-2:-1] == bare[-1:] else bare + "e", ())
    return found
