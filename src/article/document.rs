//! The report: sections, tables and figures of what was run.

mod charts;
mod tables;

use super::claims::{Judged, accuracy, grouped, values};
use super::{Part, Results};
use crate::Error;
use crate::config::TrainConfig;
use crate::report::{Block, Document, Figure, Section, Verdict, figures};
use crate::stats::Summary;

impl Results {
    /// The report. What was not run, because it was stopped, is left out.
    ///
    /// # Errors
    /// If a figure cannot be drawn.
    pub fn document(&self) -> Result<Document, Error> {
        let mut subtitle = format!(
            "{} training runs and {} probes, {} seeds for the table; fanin {}",
            grouped(self.outcomes.len() as u64),
            self.figures.iter().map(|f| f.probes.len()).sum::<usize>(),
            self.plan.seeds,
            env!("CARGO_PKG_VERSION"),
        );
        if self.plan.shortened {
            subtitle += " — runs shorter than the article's: training is not judged";
        }
        if self.stopped {
            subtitle += &format!(
                " — stopped early: {} of {} runs are done",
                self.outcomes.len(),
                self.plan.runs()
            );
        }
        let claims = &self.claims();
        Ok(Document {
            title: "Weight initialization: the article, over many seeds".into(),
            subtitle,
            sections: vec![
                self.summary(claims),
                self.table_section(claims)?,
                self.figures_section(claims)?,
                self.settings_section(claims)?,
                self.named_section(claims)?,
                self.transfer_section(claims)?,
                self.derivations_section(claims)?,
                self.made_of(),
            ],
        })
    }

    fn summary(&self, claims: &[Judged]) -> Section {
        let count = |f: fn(&Verdict) -> bool| claims.iter().filter(|c| f(&c.claim.verdict)).count();
        let holds = count(|v| *v == Verdict::Holds);
        let some = count(|v| matches!(v, Verdict::HoldsFor { .. }));
        let text = format!(
            "Of {} claims, **{holds} hold** for every seed, {some} for some of the seeds, {} for \
             none. Each is decided by a rule, which stands with the claim further down. Accuracies \
             are those on the test images; 80 % counts as reached at the first of the evaluations, \
             one every 1,000 steps, that shows at least 80 %.",
            claims.len(),
            claims.len() - holds - some
        );
        section(
            "summary",
            "In short",
            vec![
                paragraph(&text),
                Block::Table(self.beside_the_published()),
                Block::Table(tables::summary(claims)),
            ],
        )
    }

    fn table_section(&self, claims: &[Judged]) -> Result<Section, Error> {
        let text = "Sigmoid, 784-390-156-62-25-10, learning rate 3, batches of 10, 20,000 steps, \
                    mean squared error, biases N(0, 1). The article ran each row once.";
        let mut blocks = vec![
            paragraph(text),
            Block::Table(self.runs_table(Part::Table, "table", "The article's table")),
        ];
        blocks.extend(self.curves(
            Part::Table,
            "table_curves",
            "Test accuracy while training: the mean over the seeds",
        )?);
        blocks.extend(self.strip_chart()?);
        blocks.extend(self.claims_about(claims, Part::Table));
        let running = values(&self.of("small_bn").collect::<Vec<_>>(), |o| {
            o.running_accuracy
        });
        if let Some(running) = Summary::of(&running) {
            blocks.push(paragraph(&format!(
                "The networks with batch norm are tested as in the article, with the statistics \
                 of the test images themselves. With the running statistics of training, as is \
                 usual, the mean is {:.2} %.",
                100.0 * running.mean
            )));
        }
        let never = ["zero", "small"].map(|id| {
            let escaped = self
                .of(id)
                .filter(|o| accuracy(o).is_some_and(|a| a > 0.12));
            (escaped.count(), self.of(id).count())
        });
        if never.iter().all(|(_, runs)| *runs > 0) {
            blocks.push(paragraph(&format!(
                "What looks like never is a long plateau whose length is random: {} of {} seeds \
                 with all-zero weights and {} of {} with small random ones end above 12 %. The \
                 random biases make the units differ, so even all-zero weights are not stuck for \
                 ever; with biases of 0 they are (see below).",
                never[0].0, never[0].1, never[1].0, never[1].1
            )));
        }
        Ok(section("table", "The table", blocks))
    }

    fn figures_section(&self, claims: &[Judged]) -> Result<Section, Error> {
        let mut blocks = vec![paragraph(&format!(
            "{} samples of 800 numbers from N(0, 1) go through untrained layers of 750, 700, …, \
             350 units without biases. Each panel is a layer: its outputs in 30 bins on [−1, 1]. \
             The histograms are of seed 1.",
            grouped(self.plan.samples as u64)
        ))];
        for figure in &self.figures {
            let Some((_, probe)) = figure.probes.first() else {
                continue;
            };
            let spec = figure.spec;
            blocks.push(Block::Figure(Figure {
                name: spec.id.into(),
                caption: format!("{}: the outputs of each layer.", spec.title),
                svg: figures::histograms(spec.title, probe)?,
            }));
            let about = claims.iter().filter(|c| c.about == spec.id);
            blocks.extend(about.map(|c| Block::Claim(c.claim.clone())));
        }
        blocks.push(Block::Table(tables::deviations(&self.figures)));
        Ok(section("figures", "The figures", blocks))
    }

    fn settings_section(&self, claims: &[Judged]) -> Result<Section, Error> {
        let mut blocks = vec![
            paragraph(
                "Networks and settings that are in the article's code. Where nothing else is \
                 said: sigmoid, learning rate 3, 784-390-156-62-25-10.",
            ),
            Block::Table(self.runs_table(
                Part::Settings,
                "settings",
                "The other networks and settings",
            )),
        ];
        blocks.extend(self.curves(
            Part::Settings,
            "settings_curves",
            "Test accuracy while training: the mean over the seeds",
        )?);
        blocks.push(Block::Table(self.diagnostics()));
        blocks.extend(self.claims_about(claims, Part::Settings));
        if self.plan.shortened || self.stopped {
            return Ok(section("settings", "Other networks and settings", blocks));
        }
        blocks.push(paragraph(
            "**Why relu fails here.** The output layer has a relu too. A unit whose inputs are \
             below 0 for every image gives 0 and has no gradient: it is dead, its class is never \
             chosen, and nothing brings it back. With biases N(0, 1) about half of the outputs \
             are dead before the first step; the steps of the others are so long that at \
             learning rate 3/16 the loss overflows within a few of them or all outputs die. With biases of 0 fewer die, and the accuracy lacks their \
             classes; with a linear output layer the same network trains; and so it does where \
             batch norm brings the inputs of each output back to both sides of 0, most of the \
             time.",
        ));
        blocks.push(paragraph(
            "**Batch norm before the product.** Each pixel is divided by its standard deviation \
             over a batch of 10, so a pixel that is lit in one image of ten becomes 3, and the \
             inputs of every layer are several times as large as they are without. It learns \
             fast; but the same learning rate now makes steps that are far too long, and nothing \
             holds the pre-activations: they grow until nearly all units of the first layer are \
             saturated and pass nothing on. It is not the \
             statistics used in the test: with running statistics the accuracy is lost as well.",
        ));
        Ok(section("settings", "Other networks and settings", blocks))
    }

    fn named_section(&self, claims: &[Judged]) -> Result<Section, Error> {
        let mut blocks = vec![
            paragraph(
                "Ways to start that the article names and does not run, on the network of its \
                 table. Pre-training: each hidden layer first learns, for 500 steps, to \
                 reconstruct its inputs (an autoencoder with tied weights, Bengio et al. 2007), \
                 starting from the same small random weights; then all are trained as usual.",
            ),
            Block::Table(self.runs_table(Part::Named, "named", "Named and not run")),
        ];
        blocks.extend(self.curves(
            Part::Named,
            "named_curves",
            "Test accuracy while training: the mean over the seeds",
        )?);
        blocks.extend(self.claims_about(claims, Part::Named));
        Ok(section("named", "What it names and does not run", blocks))
    }

    fn transfer_section(&self, claims: &[Judged]) -> Result<Section, Error> {
        let mut blocks = vec![
            paragraph(
                "The article's network (Xavier) learns the digits 0 to 4 for 5,000 steps. Its \
                 hidden layers then start a network for the digits 5 to 9, whose output layer is \
                 fresh. Chance is 20 %.",
            ),
            Block::Table(self.runs_table(Part::Transfer, "transfer", "Digits 5 to 9")),
        ];
        blocks.extend(self.curves(
            Part::Transfer,
            "transfer_curves",
            "Test accuracy on the digits 5 to 9: the mean over the seeds",
        )?);
        blocks.extend(self.claims_about(claims, Part::Transfer));
        Ok(section("transfer", "Transfer", blocks))
    }

    fn derivations_section(&self, claims: &[Judged]) -> Result<Section, Error> {
        let mut blocks = vec![paragraph(
            "Xavier initialization is derived from the variance of a layer's outputs, forward, \
             and of its gradients, backward: with weights of variance v a linear layer multiplies \
             the first by fan_in·v and the second by fan_out·v; relu halves both (He et al. \
             2015). Mean-field theory (Poole et al. 2016, Schoenholz et al. 2017) says the same \
             for any activation. Solid: measured; dashed: predicted, and unseen where both agree.",
        )];
        blocks.extend(self.derivation_charts()?);
        blocks.push(Block::Table(tables::derivations(&self.figures)));
        let about = |c: &&Judged| ["forward", "backward"].contains(&c.about);
        let claims = claims.iter().filter(about);
        blocks.extend(claims.map(|c| Block::Claim(c.claim.clone())));
        Ok(section(
            "derivations",
            "The two derivations, measured",
            blocks,
        ))
    }

    fn made_of(&self) -> Section {
        let base = TrainConfig::default();
        let pairs = [
            ("fanin", env!("CARGO_PKG_VERSION").to_string()),
            ("Instruction set", self.isa.name().to_string()),
            (
                "Data",
                "MNIST; the first 5,000 training images left out, as the article has it".into(),
            ),
            (
                "Seeds of the table, pre-training and transfer",
                format!("1 to {}", self.plan.seeds),
            ),
            (
                "Seeds of the rest",
                format!("1 to {}", self.plan.fewer_seeds()),
            ),
            ("Loss", base.loss.to_string()),
            ("Batch", base.batch.to_string()),
            ("95 % interval", "of the mean, by Student's t".into()),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_string(), value));
        section(
            "made-of",
            "How it was made",
            vec![
                paragraph(
                    "Every run has the same bits on every machine: `fanin train` with the \
                     settings and the seed of a run gives the same SHA-256 of the weights; only transfer, between \
                     digits, is not to be had so.",
                ),
                Block::KeyValues(pairs.to_vec()),
                Block::Details {
                    summary: "The settings of every study".into(),
                    blocks: vec![Block::Table(tables::studies(&self.plan))],
                },
                Block::Details {
                    summary: format!("All {} runs", self.outcomes.len()),
                    blocks: vec![Block::Table(tables::runs(self))],
                },
            ],
        )
    }

    fn claims_about(&self, claims: &[Judged], part: Part) -> Vec<Block> {
        let of_part = |id: &str| self.study(id).is_some_and(|s| s.part == part);
        let claims = claims.iter().filter(|c| of_part(c.about));
        claims.map(|c| Block::Claim(c.claim.clone())).collect()
    }
}

fn section(id: &str, title: &str, blocks: Vec<Block>) -> Section {
    Section {
        id: id.into(),
        title: title.into(),
        blocks,
    }
}

fn paragraph(text: &str) -> Block {
    Block::Paragraph(text.into())
}
