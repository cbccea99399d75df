//! The theorem behind candidates (CanDist, arXiv 2506.03857, section 4), held against a student that is really trained.
//!
//! A linear head on fixed features, <g_i, g_j> = a within a class and b between classes, l2 weight lambda, m samples in C
//! balanced classes, learns from targets q_i the predictions
//! `p_i = theta q_i + (phi - theta) (C / m) sum_{j: y_j = y_i} q_j + (1 - phi) / C`,
//! `theta = (1 - a) / (C m lambda + 1 - a)`, `phi = 1 - C m lambda / (C m lambda + (m / C) (a - b) + 1 - a)`,
//! with softmax linearised at zero. What follows: a student of second-ranked candidates too is right wherever the true
//! label is likelier than each other one; a student of first labels needs a margin for that.
//!
//! Figures here are small enough to compute by hand or by plain iteration; nothing of this is in the program.

use crate::student::{argmax, softmax};

const CLASSES: usize = 3;
const EACH: usize = 10;
const SAMPLES: usize = CLASSES * EACH;
const WITHIN: f64 = 0.6;
const BETWEEN: f64 = 0.2;

fn class(sample: usize) -> usize {
    sample / EACH
}

fn kernel(i: usize, j: usize) -> f64 {
    if i == j {
        1.0
    } else if class(i) == class(j) {
        WITHIN
    } else {
        BETWEEN
    }
}

type Targets = Vec<[f64; CLASSES]>;

/// The minimum of mean cross-entropy and (lambda / 2) |W|^2, by its own condition z_i = sum_j k_ij (q_j - p_j) / (m lambda).
fn trained(q: &Targets, lambda: f64) -> Targets {
    let scale = SAMPLES as f64 * lambda;
    let mut z = vec![[0.0; CLASSES]; SAMPLES];
    for _ in 0..4000 {
        let p: Vec<Vec<f32>> = z.iter().map(|row| softmax(&row.map(|value| value as f32))).collect();
        for (i, row) in z.iter_mut().enumerate() {
            for (c, value) in row.iter_mut().enumerate() {
                let pull: f64 = (0..SAMPLES).map(|j| kernel(i, j) * (q[j][c] - f64::from(p[j][c]))).sum();
                *value += 0.05 * (pull / scale - *value);
            }
        }
    }
    z.iter().map(|row| softmax(&row.map(|value| value as f32))).map(|p| [p[0], p[1], p[2]].map(f64::from)).collect()
}

fn closed_form(q: &Targets, lambda: f64) -> Targets {
    let (m, c) = (SAMPLES as f64, CLASSES as f64);
    let pull = c * m * lambda;
    let theta = (1.0 - WITHIN) / (pull + 1.0 - WITHIN);
    let phi = 1.0 - pull / (pull + m / c * (WITHIN - BETWEEN) + 1.0 - WITHIN);
    let sum =
        |i: usize, label: usize| -> f64 { (0..SAMPLES).filter(|&j| class(j) == class(i)).map(|j| q[j][label]).sum() };
    let predict =
        |i: usize, label: usize| theta * q[i][label] + (phi - theta) * c / m * sum(i, label) + (1.0 - phi) / c;
    (0..SAMPLES).map(|i| [predict(i, 0), predict(i, 1), predict(i, 2)]).collect()
}

fn furthest(a: &Targets, b: &Targets) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// In each class `wrong` of ten first labels are the next class; each class alike, so that all labels are named as often.
/// With `both`, what is first and what would be second share the target.
fn targets(wrong: usize, both: bool) -> Targets {
    let target = |sample: usize| {
        let (right, next) = (class(sample), (class(sample) + 1) % CLASSES);
        let is_wrong = sample % EACH < wrong;
        let mut q = [0.0; CLASSES];
        if both {
            // The second candidate of a right answer is one of the others in turn; that of a wrong one is the right label.
            let second = if is_wrong { right } else { (class(sample) + 1 + sample % 2) % CLASSES };
            q[if is_wrong { next } else { right }] += 0.5;
            q[second] += 0.5;
        } else {
            q[if is_wrong { next } else { right }] = 1.0;
        }
        q
    };
    (0..SAMPLES).map(target).collect()
}

fn right(p: &Targets) -> usize {
    let best = |row: &[f64; CLASSES]| argmax(&row.map(|p| p as f32));
    p.iter().enumerate().filter(|(i, row)| best(row) == Some(class(*i))).count()
}

#[test]
fn the_closed_form_is_what_training_finds() {
    for both in [false, true] {
        let q = targets(3, both);
        let near = furthest(&trained(&q, 0.5), &closed_form(&q, 0.5));
        let nearer = furthest(&trained(&q, 2.0), &closed_form(&q, 2.0));
        // Softmax is linear near zero, and the stronger the pull to zero, the nearer.
        assert!(near < 0.02 && nearer < near / 4.0, "{near} {nearer}");
    }
}

#[test]
fn candidates_need_no_margin_and_single_labels_do() {
    // 4 or 5 of 10 first labels are wrong, all in the same way, and the student trusts each label a lot (lambda is small).
    let lambda = 1e-3;
    let (single, both) = (targets(4, false), targets(4, true));
    assert_eq!(right(&closed_form(&single, lambda)), SAMPLES * 6 / 10, "it repeats what it was told");
    assert_eq!(right(&closed_form(&both, lambda)), SAMPLES);
    assert_eq!(right(&trained(&both, 0.05)), SAMPLES);
}
