//! Groups as JSON.

use super::Report;
use crate::stats::Summary;
use crate::sweep::Value;
use crate::sweep::groups::{Counts, CurvePoint, Group};
use serde::{Serialize, Serializer};

#[derive(Serialize)]
struct GroupObject<'a> {
    key: Key<'a>,
    n: usize,
    counts: Counts,
    final_accuracy: Option<Summary>,
    reached_80: Reached,
    median_seconds: Option<f64>,
    curve: &'a [CurvePoint],
}

/// An object with the keys of the group, in order.
struct Key<'a>(Vec<(&'static str, &'a Option<Value>)>);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().copied())
    }
}

#[derive(Serialize)]
struct Reached {
    count: usize,
    share: Option<f64>,
    ci95: Option<(f64, f64)>,
    median_steps: Option<f64>,
}

pub(super) fn groups(report: &Report) -> String {
    let by = &report.groups.by;
    let object = |group: &'_ &Group| {
        let group: &Group = group;
        let names = by.iter().map(|axis| axis.key.name());
        serde_json::to_string(&GroupObject {
            key: Key(names.zip(&group.key).collect()),
            n: group.n(),
            counts: group.counts,
            final_accuracy: group.accuracy,
            reached_80: Reached {
                count: group.reached,
                share: group.share_80(),
                ci95: group.share_80_ci95(),
                median_steps: group.steps_to_80,
            },
            median_seconds: group.seconds,
            curve: &group.curve,
        })
        // Numbers and strings only: there is nothing that serializing could refuse.
        .unwrap_or_default()
    };
    let objects: Vec<String> = report.sorted().iter().map(object).collect();
    // A group on a line, for whoever looks at it.
    format!("[\n{}\n]\n", objects.join(",\n"))
}
