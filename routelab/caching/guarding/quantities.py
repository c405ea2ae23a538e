"""Numbers, units and dates in words and digits, each brought to one spelling."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

from routelab.caching.guarding.stems import listed

ONES = MappingProxyType(
    {
        w: i
        for i, w in enumerate(
            listed(
                "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
                " nineteen"
            )
        )
    }
)
TENS = MappingProxyType(
    {w: 10 * i for i, w in enumerate(listed("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)}
)
SCALES = MappingProxyType(
    {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
)
ORDINALS = MappingProxyType(
    {
        w: i
        for i, w in enumerate(
            listed(
                "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth"
                " seventeenth eighteenth nineteenth twentieth"
            ),
            start=1,
        )
    }
    | {"thirtieth": 30, "hundredth": 100}
)
PARTS = MappingProxyType(
    {"half": "0.5", "quarter": "0.25", "twice": "2", "double": "2", "triple": "3", "thrice": "3", "quadruple": "4"}
)
HALVES = MappingProxyType(
    {"minute": ("30", "second"), "hour": ("30", "minute"), "day": ("12", "hour"), "year": ("6", "month")}
)
"""What half of a unit is usually said as."""
DECADES = MappingProxyType({w[:-1] + "ies": v for w, v in TENS.items()})
ROMAN = MappingProxyType(
    {
        r: i
        for i, r in enumerate(listed("II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX"), start=2)
    }
)


def _units(text: str) -> MappingProxyType[str, str]:
    found: dict[str, str] = {}
    for line in text.strip().splitlines():
        for name in line.split():
            found[name] = line.split()[0]
    return MappingProxyType(found)


UNITS = _units(
    """
    second seconds sec secs
    minute minutes mins
    hour hours hrs hourly
    day days daily
    week weeks weekly wks
    month months monthly
    year years yearly annual annually yrs
    fortnight fortnights
    millisecond milliseconds ms msec
    microsecond microseconds µs us
    nanosecond nanoseconds ns
    meter meters metre metres
    kilometer kilometers kilometre kilometres km kms
    centimeter centimeters centimetre centimetres cm
    millimeter millimeters millimetre millimetres mm
    mile miles
    yard yards yd
    foot feet ft
    inch inches
    acre acres
    hectare hectares
    km/h kmh kph
    mph
    m/s
    knot knots
    gram grams gramme grammes gr
    kilogram kilograms kilo kilos kg kgs
    milligram milligrams mg
    microgram micrograms mcg µg
    tonne tonnes
    pound pounds lb lbs £ gbp quid
    ounce ounces oz
    liter liters litre litres
    milliliter milliliters millilitre millilitres ml
    gallon gallons gal
    pint pints
    cup cups
    tablespoon tablespoons tbsp
    teaspoon teaspoons tsp
    bit bits
    kilobit kilobits
    megabit megabits
    gigabit gigabits
    byte bytes
    kb kilobyte kilobytes ki kib
    mb megabyte megabytes mib
    gb gigabyte gigabytes gi gib
    tb terabyte terabytes ti tib
    kbps kbit/s kb/s
    mbps mbit/s
    gbps gbit/s
    hz hertz
    khz kilohertz
    mhz megahertz
    ghz gigahertz
    watt watts
    kw kilowatt kilowatts
    mw megawatt megawatts
    kwh
    volt volts
    amp amps ampere amperes
    mah
    ohm ohms
    hp horsepower
    joule joules
    kj kilojoule kilojoules
    calorie calories kcal cal
    kilocalorie kilocalories
    btu
    celsius °c centigrade
    fahrenheit °f
    kelvin
    degree degrees
    percent % pct percentage
    bar
    psi
    pascal pascals
    kpa
    atm
    mmol/l
    mg/dl
    mg/kg
    mol mole moles
    dpi
    pixel pixels px
    dollar dollars $ usd us$ bucks
    euro euros € eur
    yen ¥ jpy
    rupee rupees ₹ inr
    idr rupiah
    franc francs chf
    krona kronor kronas sek
    krone kroner nok
    zloty zlotys złoty złotych pln
    cad
    aud
    yuan rmb cny
    ruble rubles rouble ₽ rub
    won krw
    peso pesos mxn
    cent cents
    pence penny pennies
    btc bitcoin bitcoins ₿
    eth ether
    astronomical
    """
)
AFTER_NUMBER = MappingProxyType(
    {
        "s": "second",
        "h": "hour",
        "hr": "hour",
        "min": "minute",
        "d": "day",
        "w": "watt",
        "wk": "week",
        "yr": "year",
        "m": "meter",
        "g": "gram",
        "t": "tonne",
        "l": "liter",
        "c": "celsius",
        "f": "fahrenheit",
        "v": "volt",
        "a": "amp",
        "k": "thousand",
        "bn": "billion",
        "mn": "million",
        "in": "inch",
        "mi": "mile",
        "p": "pence",
        "x": "times",
    }
)
"""Short units that are words or letters elsewhere; these count right after a number only."""
LOOSE = frozenset({"second", "minute", "hour", "day", "week", "month", "year", "bit", "bar", "foot", "yard", "cup", "won", "cent", "us", "ether", "knot", "pound", "mole"})  # fmt: skip

PER = MappingProxyType({("kilometer", "hour"): "km/h", ("mile", "hour"): "mph", ("meter", "second"): "m/s", ("megabit", "second"): "mbps", ("gigabit", "second"): "gbps", ("kilobit", "second"): "kbps"})  # fmt: skip
"""What two units with "per" between them are written as."""

MONTHS = MappingProxyType(
    {
        name: number
        for number, names in enumerate(
            listed(
                "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sep sept|october oct|november nov|"
                "december dec",
                "|",
            ),
            start=1,
        )
        for name in names.split()
    }
)
SHY = frozenset(listed("may march mar jan sun sat dec mon wed august"))
"""Names of months and days that are other words too: they need a sign of a date beside them, or a capital inside a sentence."""
WEEKDAYS = MappingProxyType(
    {
        name + plural: day
        for day, names in enumerate(
            [
                "monday mon",
                "tuesday tue tues",
                "wednesday wed",
                "thursday thu thur thurs",
                "friday fri",
                "saturday sat",
                "sunday sun",
            ]
        )
        for name in names.split()
        for plural in ("", "s")
    }
)
MOMENTS = MappingProxyType(
    {
        **{w: w for w in listed("tomorrow yesterday midnight morning evening afternoon spring summer winter")},
        **{w + "s": w for w in listed("morning evening afternoon spring summer winter weekend weekday")},
        **{w: w for w in listed("weekend weekday decade century centuries")},
        "noon": "12:00",
        "midday": "12:00",
        "midnight": "00:00",
        "tonight": "night",
        "night": "night",
        "nights": "night",
        "nightly": "night",
        "overnight": "night",
        "autumn": "autumn",
        "quarterly": "quarterly",
        "bc": "bc",
        "bce": "bc",
        "ad": "ad",
        "ago": "ago",
    }
)
RELATIVE = MappingProxyType(
    {
        "last": "last",
        "past": "last",
        "previous": "last",
        "next": "next",
        "coming": "next",
        "upcoming": "next",
        "this": "this",
        "current": "this",
    }
)
PERIODS = frozenset(listed("day night week weekend month quarter year decade century morning afternoon evening summer winter spring autumn season semester hour minute"))  # fmt: skip

_TIME = re.compile(r"(\d{1,2}):(\d{2})")


def number_of(digits: str) -> str:
    """Return one spelling of a number in digits: no thousands' separators, no useless zeros.

    >>> [number_of(n) for n in ("1,000", "1,000.00", "3.10", "007", "1.234.567", "5.15.0", "12,5")]
    ['1000', '1000', '3.10', '7', '1234567', '5.15.0', '12.5']
    """
    text = digits
    if text.count(",") and re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    elif re.fullmatch(r"\d{1,3}(\.\d{3}){2,}(,\d+)?", text) or re.fullmatch(r"\d{1,3}(\.\d{3})+,\d+", text):
        text = text.replace(".", "").replace(",", ".")
    elif text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if text.count(".") > 1 or "," in text:
        return text
    whole, _, fraction = text.partition(".")
    whole = whole.lstrip("0") or "0"
    return whole if not fraction.strip("0") else f"{whole}.{fraction}"


def times(number: str, factor: int) -> str:
    """Return the number multiplied, in the spelling of `number_of`; a version is left alone."""
    # Beyond the digits that a product keeps, two numbers would become one.
    if len(number) > 20:
        return f"{number}×{factor}"
    try:
        product = Decimal(number) * factor
    except InvalidOperation:
        return number
    return number_of(f"{product:f}")


def plus_half(number: str) -> str:
    """Return a whole number and a half; anything else as it is."""
    return f"{number}.5" if number.isdigit() else number


def clock(hours: str, minutes: str, *, half: str) -> str:
    """Return a time of day as HH:MM; `half` is "am", "pm" or "".

    >>> clock("7", "00", half="pm"), clock("12", "00", half="am"), clock("19", "30", half="")
    ('19:00', '00:00', '19:30')
    """
    hour = int(hours[:2])
    if half == "pm" and hour < 12:
        hour += 12
    if half == "am" and hour == 12:
        hour = 0
    return f"{hour:02}:{minutes:0>2}"
