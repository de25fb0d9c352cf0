//! Which release the spec asks for: one that is recorded, or a new one.

use crate::record::{Phase, Record};
use crate::situation::{Running, Situation};

/// The place among the records of the release that the spec asks for; a new one is added.
pub fn identify(situation: &Situation<'_>, records: &mut Vec<Record>) -> usize {
    let is_wanted = |record: &Record| situation.wanted.contains(&record.number);
    let Some(last) = records.len().checked_sub(1) else {
        // Where the records are lost the number stays, so that no pod is replaced for it.
        let number = match situation.running {
            Running::Release(number) => number.max(situation.highest + u64::from(situation.highest > 0)),
            Running::Nothing | Running::Unrecorded => situation.highest + 1,
        };
        return add(situation, records, number, true);
    };
    if is_wanted(&records[last]) && !records[last].withdrawn {
        return last;
    }
    let number = situation.highest.max(records[last].number) + 1;
    if situation.running == Running::Unrecorded {
        return add(situation, records, number, true);
    }
    let newest = records[last].phase;
    let returns = !newest.is_final() || newest.is_taken_back() || newest == Phase::Superseded;
    let base = base_of(records, last).filter(|_| returns);
    let base = base.and_then(|number| records.iter().position(|record| record.number == number));
    if let Some(base) = base.filter(|base| is_wanted(&records[*base])) {
        withdraw(
            situation,
            &mut records[last],
            "the spec went back to the release before",
        );
        records[last].promoted = false;
        if records[base].phase == Phase::Superseded {
            records[base].enter(Phase::RollingOut, situation.now);
        }
        return base;
    }
    let note = format!("release {number} came before it was judged");
    withdraw(situation, &mut records[last], &note);
    add(situation, records, number, false)
}

fn withdraw(situation: &Situation<'_>, record: &mut Record, note: &str) {
    record.withdrawn = true;
    if !record.phase.is_final() {
        let verdict = record.verdict.take();
        record.conclude(
            Phase::Superseded,
            situation.now,
            verdict.map_or_else(|| note.to_owned(), |verdict| format!("{verdict}; {note}")),
        );
    }
}

fn add(situation: &Situation<'_>, records: &mut Vec<Record>, number: u64, first: bool) -> usize {
    let mut record = Record::new(number, Phase::Held, situation.now);
    record.first = first;
    // What was heeded once does not count again, however many releases later.
    record.anyway = records.last().and_then(|last| last.anyway.clone());
    records.push(record);
    records.len() - 1
}

/// The release that runs again if the one at `index` is taken back: the newest that was let onto all pods.
pub fn base_of(records: &[Record], index: usize) -> Option<u64> {
    if records.get(index)?.first {
        return None;
    }
    let earlier = records[..index].iter().rev();
    earlier
        .filter(|record| record.promoted && !record.phase.is_taken_back())
        .map(|record| record.number)
        .next()
}
