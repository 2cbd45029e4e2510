//! The judge is judged: results that are right pass, those that are wrong fail.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use wgpu_batchnorm::reference::Group;

/// What a perfect float32 implementation gives.
struct Perfect {
    y: Vec<f32>,
    y_in_evaluation: Vec<f32>,
    batch: BatchStatistics,
    running: RunningValues,
    dx: Vec<f32>,
    dweight: Vec<f32>,
    dbias: Vec<f32>,
}

fn narrowed(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

fn perfect(data: &Data) -> Perfect {
    let Data { shape, x, dy, weight, bias, running } = data;
    let parameters = Parameters { weight: Some(weight), bias: Some(bias), epsilon: EPS };
    let training = Problem::new(*shape, parameters, Source::Batch);
    let forward = reference::forward(&training, x).unwrap();
    let Group { statistics, moments } = &forward.groups[0];
    let held = Source::Held { mean: &running.mean, variance: &running.var };
    let evaluation = reference::forward(&Problem::new(*shape, parameters, held), x).unwrap();
    let before = Running { mean: widened(&running.mean), variance: widened(&running.var) };
    let after = reference::running_stats(&before, moments.as_ref().unwrap(), MOMENTUM).unwrap();
    let backward = reference::backward(&training, x, dy).unwrap();
    Perfect {
        y: narrowed(&forward.y),
        y_in_evaluation: narrowed(&evaluation.y),
        batch: BatchStatistics { mean: narrowed(&statistics.mean), var: narrowed(&statistics.variance) },
        running: RunningValues {
            mean: narrowed(&after.mean),
            var: narrowed(&after.variance),
            num_batches_tracked: 1,
        },
        dx: narrowed(&backward.dx),
        dweight: narrowed(&backward.dweight),
        dbias: narrowed(&backward.dbias),
    }
}

#[test]
fn what_is_right_passes_in_both_layouts_and_in_part() {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let data = Data::new(Shape::new(&[6, 7, 5], layout).unwrap());
        let got = perfect(&data);
        for most_elements in [usize::MAX, 100, 1] {
            let judge = Judge::with_limit(&data, most_elements).unwrap();
            assert_eq!(judge.subset().is_none(), most_elements == usize::MAX);
            assert!(judge.channels.starts_with(&[0]));
            let forward = judge.forward(&got.y, &got.batch, &got.running).unwrap();
            let evaluation = judge.evaluation(&got.y_in_evaluation).unwrap();
            let backward = judge.backward(&got.dx, &got.dweight, &got.dbias).unwrap();
            for accuracy in [forward, evaluation, backward] {
                assert!(accuracy.passed && accuracy.error_over_bound < 0.5, "{accuracy}");
            }
        }
    }
}

#[test]
fn what_is_wrong_fails_and_is_named() {
    let data = Data::new(Shape::new(&[6, 3, 5], Layout::ChannelsFirst).unwrap());
    let judge = Judge::new(&data).unwrap();
    // Each is spoiled in the last channel.
    type Spoil = (&'static str, fn(&mut Perfect));
    let forward: [Spoil; 7] = [
        ("y", |got| got.y[89] += 1e-4),
        ("y", |got| got.y[89] = f32::NAN),
        ("batch_mean", |got| got.batch.mean[2] += 1e-4),
        ("batch_var", |got| got.batch.var[2] *= 1.0 + 4.5e-6),
        ("running_mean", |got| got.running.mean[2] += 1e-4),
        ("running_var", |got| got.running.var[2] = f32::INFINITY),
        ("num_batches_tracked", |got| got.running.num_batches_tracked = 2),
    ];
    for (name, spoil) in forward {
        let mut got = perfect(&data);
        spoil(&mut got);
        let accuracy = judge.forward(&got.y, &got.batch, &got.running).unwrap();
        assert!(!accuracy.passed && accuracy.result == name, "{name}: {accuracy}");
        assert!(accuracy.to_string().contains("ACCURACY FAIL"));
    }
    let backward: [Spoil; 3] = [
        ("dx", |got| got.dx[89] += 1e-3),
        ("dweight", |got| got.dweight[2] += 1e-3),
        ("dbias", |got| got.dbias[2] = f32::NAN),
    ];
    for (name, spoil) in backward {
        let mut got = perfect(&data);
        spoil(&mut got);
        let accuracy = judge.backward(&got.dx, &got.dweight, &got.dbias).unwrap();
        assert!(!accuracy.passed && accuracy.result == name, "{name}: {accuracy}");
    }
    assert!(!judge.evaluation(&perfect(&data).y).unwrap().passed);
}
