//! What no run of the sweep can have: checks that need the data, and frozen layers.

use super::{MAX_AXES, Plan};
use crate::TrainConfig;
use crate::config::ConfigError;
use crate::sweep::spec::{Column, Field, Position, Setting, Spec, SpecError, Values};

impl Plan {
    /// # Errors
    /// The first value that no run on the data can have, and layers to freeze that a network
    /// does not have; what [`Plan::check_together`] finds.
    pub(super) fn check(&self, spec: &Spec) -> Result<(), SpecError> {
        let (held_out, train) = (self.hold_out, self.data.train);
        if held_out >= train {
            let message =
                format!("hold_out: {held_out} leaves nothing of the {train} training samples");
            return Err(SpecError::new(spec.hold_out_at, message));
        }
        let varies = |field| self.columns().any(|column| column.field == field);
        for (at, setting) in &spec.train {
            // What an axis decides in all runs is as if it were not there.
            let field = setting.field();
            let layers = field == Field::Layers && varies(Field::Depth);
            if !varies(field) && !layers {
                self.check_setting(*at, setting)?;
            }
        }
        for column in self.columns() {
            match &column.values {
                Values::List(list) => {
                    for (at, setting) in list {
                        self.check_setting(*at, setting)?;
                    }
                }
                // What lies between two possible integers is possible.
                Values::Range { at, len, .. } => {
                    for setting in [0, *len - 1].into_iter().filter_map(|i| column.get(i)) {
                        self.check_setting(*at, &setting)?;
                    }
                }
            }
        }
        // What nobody gave must fit as well.
        let given = |field| spec.train.iter().any(|(_, s)| s.field() == field) || varies(field);
        let default = TrainConfig::default();
        if !given(Field::Layers) && !given(Field::Depth) {
            self.check_setting(Position::START, &Setting::Layers(default.layers.into()))?;
        }
        if !given(Field::Batch) {
            self.check_setting(Position::START, &Setting::Batch(default.batch))?;
        }
        self.check_frozen(spec)?;
        self.check_together(spec)
    }

    /// Goes through the values that decide which layers are frozen and how many there are.
    fn check_frozen(&self, spec: &Spec) -> Result<(), SpecError> {
        let find = |field| {
            let mut columns = self.numbered_columns();
            columns.find(|(_, column)| column.field == field)
        };
        let frozen = find(Field::Freeze);
        let depth = find(Field::Depth).or_else(|| find(Field::Layers));
        let count = |column: Option<(usize, &Column)>| column.map_or(1, |(_, c)| c.len());
        let axis = |column: Option<(usize, &Column)>| column.map(|(axis, _)| axis);
        let together = frozen.is_some() && axis(frozen) == axis(depth);
        let fixed: Vec<usize> = axis(frozen).into_iter().chain(axis(depth)).collect();
        for i in 0..count(frozen) {
            let (at, range) = match frozen {
                Some((_, column)) => (column.position(i), column.get(i)),
                None => {
                    let mut train = spec.train.iter();
                    match train.find(|(_, setting)| setting.field() == Field::Freeze) {
                        Some((at, setting)) => (*at, Some(setting.clone())),
                        None => return Ok(()),
                    }
                }
            };
            let Some(Setting::Freeze(Some(range))) = range else {
                continue;
            };
            let others = if together { i..i + 1 } else { 0..count(depth) };
            for j in others {
                let layers = match depth.and_then(|(_, column)| column.get(j)) {
                    Some(Setting::Depth(depth)) => depth + 1,
                    Some(Setting::Layers(sizes)) => sizes.len() - 1,
                    _ => self.base.layers(),
                };
                if range.last() <= layers && range.indices() != (0..layers) {
                    continue;
                }
                let mut digits = [0; MAX_AXES];
                for (column, digit) in [(frozen, i), (depth, j)] {
                    if let Some((axis, _)) = column {
                        digits[axis] = digit;
                    }
                }
                if !self.filter.excludes_all_with(&digits, &fixed) {
                    let frozen = range;
                    let error = ConfigError::Frozen { frozen, layers };
                    return Err(SpecError::new(at, format!("freeze: {error}")));
                }
            }
        }
        Ok(())
    }

    pub(super) fn numbered_columns(&self) -> impl Iterator<Item = (usize, &Column)> {
        let axes = self.axes.iter().enumerate();
        axes.flat_map(|(a, axis)| axis.columns.iter().map(move |column| (a, column)))
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.axes.iter().flat_map(|axis| &axis.columns)
    }

    fn check_setting(&self, at: Position, setting: &Setting) -> Result<(), SpecError> {
        let (inputs, classes) = (self.data.inputs, self.data.classes);
        let samples = self.data.train - self.hold_out;
        let message = match setting {
            Setting::Layers(sizes) => match (sizes.first(), sizes.last()) {
                (Some(&layer), _) if layer != inputs => {
                    format!("layers: the network has {layer} inputs, the samples have {inputs}")
                }
                (_, Some(&layer)) if layer < classes => format!(
                    "layers: the network has {layer} outputs, the samples have {classes} classes"
                ),
                _ => return Ok(()),
            },
            &Setting::Batch(batch) if batch > samples => {
                format!("batch: {}", ConfigError::Batch { batch, samples })
            }
            _ => return Ok(()),
        };
        Err(SpecError::new(at, message))
    }
}
