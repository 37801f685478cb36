//! The time, and the zone.

use crate::policy::allowed_signers::GREGORIAN_CYCLE;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Dst, Offset, TimeZone};

/// Near the end of 9998: what lies beyond may lie, in some zone, beyond what jiff knows.
const LAST_SECOND: i64 = 253_370_700_000;

/// Seconds since 1970 (UTC).
pub fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A date without a zone as OpenSSH reads it, in the machine's zone.
pub fn local(civil: DateTime) -> Option<i64> {
    mktime(&TimeZone::system(), civil)
}

/// A time as GnuPG's messages have it, in the machine's zone.
pub fn local_line(time: i64) -> String {
    match Timestamp::from_second(time) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y %Z").to_string(),
        Err(_) => format!("@{time}"),
    }
}

/// A time as OpenSSH's messages have it: the wall clock of the machine's zone, which is not named.
pub fn local_text(time: i64) -> String {
    text_in(TimeZone::system(), time)
}

fn text_in(zone: TimeZone, time: i64) -> String {
    // jiff ends with the year 9999, in which a policy's dates may lie: written as 400 years before, when the same rules held
    let (early, later) = if time > LAST_SECOND { (time.saturating_sub(GREGORIAN_CYCLE), 400) } else { (time, 0) };
    match Timestamp::from_second(early) {
        Ok(early) => {
            let early = early.to_zoned(zone);
            format!("{:04}-{}", i32::from(early.year()) + later, early.strftime("%m-%dT%H:%M:%S"))
        }
        Err(_) => format!("@{time}"),
    }
}

/// OpenSSH calls mktime(3) with `tm_isdst` = 0: the date is standard time, in summer too, so that a date which the wall clock
/// shows in summer is read an hour later. glibc takes the offset from the nearest time without daylight saving, the past one first.
fn mktime(zone: &TimeZone, civil: DateTime) -> Option<i64> {
    let guess = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
    let info = zone.to_offset_info(guess);
    let offset = match info.dst() {
        Dst::No => info.offset(),
        Dst::Yes => standard_offset(zone, guess).unwrap_or(info.offset()),
    };
    offset.to_timestamp(civil).ok().map(Timestamp::as_second)
}

fn standard_offset(zone: &TimeZone, near: Timestamp) -> Option<Offset> {
    /// glibc's stride (`__mktime_internal`): no spell of daylight saving time known is shorter.
    const STRIDE: i64 = 601_200;
    /// Its bound: the longest spell known, halved, and a stride more.
    const BOUND: i64 = 536_454_000 / 2 + STRIDE;
    for delta in (STRIDE..BOUND).step_by(601_200) {
        for second in [near.as_second() - delta, near.as_second() + delta] {
            let Ok(time) = Timestamp::from_second(second) else { continue };
            let info = zone.to_offset_info(time);
            if info.dst() == Dst::No {
                return Some(info.offset());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_standard_time() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (civil, want) in [
            ("2024-01-01T12:00", "2024-01-01T11:00Z"),
            ("2024-07-01T12:00", "2024-07-01T11:00Z"), // the wall clock shows it at 10:00Z
            ("2024-03-31T02:30", "2024-03-31T01:30Z"), // skipped
            ("2024-10-27T02:30", "2024-10-27T01:30Z"), // twice
        ] {
            let want: Timestamp = want.parse().unwrap();
            assert_eq!(mktime(&berlin, civil.parse().unwrap()), Some(want.as_second()), "{civil}");
        }
        assert_eq!(text_in(berlin.clone(), 1_704_106_800), "2024-01-01T12:00:00");
        assert_eq!(text_in(berlin.clone(), 1_719_831_600), "2024-07-01T13:00:00");
        assert_eq!(text_in(berlin.clone(), 253_402_300_799), "10000-01-01T00:59:59");
        assert_eq!(text_in(berlin.clone(), 253_402_297_199), "9999-12-31T23:59:59");
        assert_eq!(text_in(berlin.clone(), 253_386_000_000), "9999-06-26T10:00:00");
        assert_eq!(text_in(berlin, i64::MAX), "@9223372036854775807");
    }
}
