//! Groups as JSON.

use super::Report;
use crate::sweep::Value;
use crate::sweep::groups::Group;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

struct GroupObject<'a> {
    key: Key<'a>,
    /// `reached_80`
    reached: &'a str,
    group: &'a Group,
}

impl Serialize for GroupObject<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let group = self.group;
        let reached = Reached {
            count: group.reached,
            share: group.share_reached(),
            ci95: group.share_reached_ci95(),
            median_steps: group.steps_to_reach,
        };
        // Not derived: the name of a member depends on the accuracy.
        let mut object = s.serialize_map(None)?;
        object.serialize_entry("key", &self.key)?;
        object.serialize_entry("n", &group.n())?;
        object.serialize_entry("counts", &group.counts)?;
        object.serialize_entry("final_accuracy", &group.accuracy)?;
        object.serialize_entry(self.reached, &reached)?;
        object.serialize_entry("median_seconds", &group.seconds)?;
        object.serialize_entry("curve", &group.curve)?;
        object.end()
    }
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
    let reached = format!("reached_{}", report.groups.reach.name());
    let object = |group: &'_ &Group| {
        let group: &Group = group;
        let names = by.iter().map(|axis| axis.key.name());
        serde_json::to_string(&GroupObject {
            key: Key(names.zip(&group.key).collect()),
            reached: &reached,
            group,
        })
        // Numbers and strings only: there is nothing that serializing could refuse.
        .unwrap_or_default()
    };
    let objects: Vec<String> = report.sorted().iter().map(object).collect();
    // A group on a line, for whoever looks at it.
    format!("[\n{}\n]\n", objects.join(",\n"))
}
