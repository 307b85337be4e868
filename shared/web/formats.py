"""Owns how money, times and numbers are written for people in French and English; it decides no time zone.

Used by pages and letters alike as Jinja filters: `{{ amount|euros }}`, `{{ at|moment }}`, `{{ date|day }}`,
`{{ mark|decimal }}`. A moment is told in the zone of the template's `time_zone` (the call's), named in words.
"""

from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, get_timezone_location
from babel.numbers import format_decimal
from jinja2 import Environment, pass_context
from jinja2.runtime import Context

LOCALES = {"fr": Locale("fr", "FR"), "en": Locale("en", "GB")}
SPACE = "\u00a0"


def euros(amount_eur: int, language: str) -> str:
    """Whole euros: `35 000 €` in French (with spaces that do not break), `€35,000` in English."""
    number = format_decimal(amount_eur, format="#,##0", locale=LOCALES[language])
    return f"{number}{SPACE}€" if language == "fr" else f"€{number}"


def day(value: date, language: str) -> str:
    """A date in words: `1er décembre 2021`, `1 December 2021`. A moment needs its zone first: see `moment`."""
    if isinstance(value, datetime):
        raise TypeError("a moment has a day only in a time zone: use local_day")
    words = format_date(value, "d MMMM y", locale=LOCALES[language])
    return words.replace("1", "1er", 1) if language == "fr" and value.day == 1 else words


def local_day(at: datetime, zone: tzinfo, language: str) -> str:
    """The date of an instant where it is told."""
    return day(at.astimezone(zone).date(), language)


def moment(at: datetime, zone: tzinfo, language: str) -> str:
    """An instant to the minute, with its zone named: `30 septembre 2021 à 23 h 59 (heure de Paris)`."""
    return f"{unzoned(at, zone, language)} ({zone_name(zone, language)})"


def unzoned(at: datetime, zone: tzinfo, language: str) -> str:
    """An instant to the minute, where the zone is named beside it: `30 septembre 2021 à 23 h 59`."""
    local = at.astimezone(zone)
    if language == "fr":
        return f"{day(local.date(), language)} à {local.hour}{SPACE}h{SPACE}{local.minute:02}"
    return f"{day(local.date(), language)} at {format_time(local, 'HH:mm', locale=LOCALES[language])}"


def stamp(at: datetime, zone: tzinfo, language: str) -> str:
    """An instant to the second, short, for tables: `30/09/2021 23:59:07`."""
    return format_datetime(at.astimezone(zone), "dd/MM/y HH:mm:ss", locale=LOCALES[language])


@lru_cache(maxsize=64)
def zone_name(zone: tzinfo, language: str) -> str:
    """A time zone as people call it: `heure de Paris`, `Paris time`, `UTC`."""
    if zone == UTC or str(zone) in ("UTC", "Etc/UTC"):
        return "UTC"
    city = get_timezone_location(str(zone), locale=LOCALES[language], return_city=True)
    if language == "fr":
        return f"heure d’{city}" if city[:1] in "AEIOUYÉÎ" else f"heure de {city}"
    return f"{city} time"


def decimal(value: Decimal | float, language: str, places: int = 2) -> str:
    """A number with so many decimals: `72,50`, `72.50`."""
    return format_decimal(value, format="#,##0." + "0" * places if places else "#,##0", locale=LOCALES[language])


def _zone(context: Context, zone: str | tzinfo | None) -> tzinfo:
    chosen = zone or context.get("time_zone")
    if not chosen:
        # Closing hours in the wrong zone have cost applicants their deadline: better a broken page than a guess.
        raise LookupError("a moment needs a time zone: give the template `time_zone`")
    return ZoneInfo(chosen) if isinstance(chosen, str) else chosen


def add_formats(environment: Environment, language: str) -> None:
    """Give an environment of one language the filters of this module."""

    def in_zone(write: Any) -> Any:
        @pass_context
        def written(context: Context, at: datetime, zone: str | tzinfo | None = None) -> str:
            return str(write(at, _zone(context, zone), language))

        return written

    environment.filters |= {
        "euros": lambda amount_eur: euros(amount_eur, language),
        "day": lambda value: day(value, language),
        "decimal": lambda value, places=2: decimal(value, language, places),
        "number": lambda value: decimal(value, language, 0),
        "moment": in_zone(moment),
        "unzoned": in_zone(unzoned),
        "local_day": in_zone(local_day),
        "stamp": in_zone(stamp),
    }
