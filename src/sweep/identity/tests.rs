use super::*;
use crate::batch_norm::{BatchNorm, NormEval, NormLayers, Placement};
use crate::config::LayerRange;
use crate::{Activation, Initializer, InputPath, Loss};

/// The ids are those that Python gives: a dict of the fields by `json.dumps(sort_keys=True,
/// separators=(",", ":"), ensure_ascii=False)`, the four `f32` written by
/// `numpy.format_float_positional(numpy.float32(x), unique=True, trim="-")`, then
/// `hashlib.sha256(text.encode()).hexdigest()[:32]`.
#[test]
fn golden_ids() {
    let article = TrainConfig::default();
    let expected = "{\"activation\":\"sigmoid\",\"batch\":10,\"batch_norm\":\"off\",\
        \"bias_init\":\"normal:1\",\"bn_epsilon\":null,\"bn_eval\":null,\"bn_layers\":null,\
        \"bn_momentum\":null,\"data\":\"mnist\",\"eval_every\":1000,\"frozen\":null,\
        \"hold_out\":5000,\"init\":\"lecun_normal\",\"layers\":[784,390,156,62,25,10],\
        \"loss\":\"mse\",\"lr\":3,\"momentum\":0,\"numerics\":1,\
        \"output_activation\":\"sigmoid\",\"seed\":1,\"steps\":20000}";
    assert_eq!(canonical(&article, "mnist", 5000), expected);
    let id = run_id(&article, "mnist", 5000);
    assert_eq!(id, "be8102ea894bbf350bcb664cd9441f43");

    let other = TrainConfig {
        layers: vec![784, 90, 10],
        init: Initializer::HE_NORMAL,
        bias_init: Initializer::Zeros,
        activation: Activation::LeakyRelu { slope: 0.2 },
        output_activation: Activation::Identity,
        batch_norm: Some(BatchNorm {
            placement: Placement::Input,
            layers: NormLayers::Hidden,
            epsilon: 1e-5,
            momentum: 0.25,
            eval: NormEval::Running,
        }),
        frozen: None,
        loss: Loss::CrossEntropy,
        lr: 0.1,
        momentum: 0.9,
        batch: 64,
        steps: 500,
        eval_every: 0,
        seed: 42,
        threads: 7,
        input_path: InputPath::Dense,
    };
    let data = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    assert_eq!(run_id(&other, data, 0), "6912e95bc7e52f932147bf3f4037271d");

    let odd = TrainConfig {
        frozen: LayerRange::new(1, 2),
        lr: f32::MIN_POSITIVE,
        momentum: 1.0 / 3.0,
        init: Initializer::Normal(0.01),
        seed: u64::MAX,
        steps: 0,
        ..TrainConfig::default()
    };
    let id = run_id(&odd, "dïgits \"0–4\"\t\\", 5000);
    assert_eq!(id, "3aa2c0594b7df5bfbaf777458bdc42da");
}

#[test]
fn everything_that_decides_makes_another_run() {
    type Change = fn(&mut TrainConfig);
    let changes: [Change; 19] = [
        |_| (),
        |c| c.layers = vec![784, 10],
        |c| c.init = Initializer::Zeros,
        |c| c.bias_init = Initializer::Zeros,
        |c| c.activation = Activation::Relu,
        |c| c.output_activation = Activation::Relu,
        |c| c.batch_norm = Some(BatchNorm::ARTICLE),
        |c| c.batch_norm = Some(BatchNorm::default()),
        |c| {
            let epsilon = 0.5;
            c.batch_norm = Some(BatchNorm {
                epsilon,
                ..BatchNorm::ARTICLE
            });
        },
        |c| {
            let momentum = 0.5;
            c.batch_norm = Some(BatchNorm {
                momentum,
                ..BatchNorm::ARTICLE
            });
        },
        |c| c.frozen = LayerRange::new(1, 1),
        |c| c.loss = Loss::CrossEntropy,
        |c| c.lr = 1.0,
        |c| c.momentum = 0.5,
        |c| c.batch = 1,
        |c| c.steps = 1,
        |c| c.eval_every = 1,
        |c| c.seed = 2,
        |c| c.seed = u64::MAX,
    ];
    let mut ids: Vec<String> = changes
        .iter()
        .map(|change| {
            let mut config = TrainConfig::default();
            change(&mut config);
            run_id(&config, "d", 5000)
        })
        .collect();
    let article = TrainConfig::default();
    ids.push(run_id(&article, "e", 5000));
    ids.push(run_id(&article, "d", 0));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    // These do not.
    let same = TrainConfig {
        threads: 9,
        input_path: InputPath::Sparse,
        momentum: -0.0,
        ..article.clone()
    };
    assert_eq!(run_id(&same, "d", 5000), run_id(&article, "d", 5000));
}

#[test]
fn the_text_is_json_that_others_read() {
    let config = TrainConfig {
        lr: 1e-7,
        ..TrainConfig::default()
    };
    let text = canonical(&config, "a\"b\n", 1);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["data"], "a\"b\n");
    assert_eq!(json["lr"].as_f64().unwrap() as f32, 1e-7);
    // Sorted keys, no spaces: written again it is the same, but for numbers.
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert!(keys.is_sorted());
    assert_eq!(keys.len(), 21);
}
