//! Handles that differ by a label: an array with names.

use std::marker::PhantomData;
use std::ops::{Deref, Index};

use metrics::{Key, Label as KeyLabel, Recorder};

use crate::handle::{Counter, Handle};
use crate::labels;
use crate::metric::{BuildField, Kind, Metric, Values};

/// A closed set of words that a label may say. Made by the `label!` macro.
pub trait Label: Copy + Sized + 'static {
    /// The words, in the order of the variants.
    const NAMES: &'static [&'static str];
    /// The variants.
    const ALL: &'static [Self];

    /// Which of them this is.
    fn index(self) -> usize;

    /// The word.
    fn as_str(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// The variant of that name. For cold paths: it searches.
    fn named(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|known| *known == name)?;
        Self::ALL.get(index).copied()
    }
}

/// One label, or several at once.
pub trait Position: Copy {
    /// What each label may say.
    const VALUES: &'static [Values];
    /// How many positions there are.
    const COUNT: usize;

    /// Which of them this is; the last label moves fastest.
    fn position(self) -> usize;
}

impl<A: Label> Position for A {
    const VALUES: &'static [Values] = &[Values::Closed(A::NAMES)];
    const COUNT: usize = A::NAMES.len();

    fn position(self) -> usize {
        self.index()
    }
}

impl<A: Label, B: Label> Position for (A, B) {
    const VALUES: &'static [Values] = &[Values::Closed(A::NAMES), Values::Closed(B::NAMES)];
    const COUNT: usize = A::NAMES.len() * B::NAMES.len();

    fn position(self) -> usize {
        self.0.index() * B::NAMES.len() + self.1.index()
    }
}

impl<A: Label, B: Label, C: Label> Position for (A, B, C) {
    const VALUES: &'static [Values] = &[Values::Closed(A::NAMES), Values::Closed(B::NAMES), Values::Closed(C::NAMES)];
    const COUNT: usize = A::NAMES.len() * B::NAMES.len() * C::NAMES.len();

    fn position(self) -> usize {
        (self.0.index() * B::NAMES.len() + self.1.index()) * C::NAMES.len() + self.2.index()
    }
}

/// What a field of a layer can be: a handle, or handles by label.
pub trait Row: Sized {
    /// Which kind of metric it moves.
    const KIND: Kind;
    /// What its labels may say.
    const VALUES: &'static [Values];

    /// Asks the recorder for the handles; `shard` counts where the metric has a label for it.
    fn resolve(recorder: &dyn Recorder, metric: &'static Metric, shard: usize) -> Self;
}

impl<H: Handle> Row for H {
    const KIND: Kind = H::KIND;
    const VALUES: &'static [Values] = &[];

    fn resolve(recorder: &dyn Recorder, metric: &'static Metric, _: usize) -> Self {
        H::register(recorder, &Key::from_static_name(metric.name))
    }
}

/// Handles by label: `metrics.tokens[(TokenKind::Retry, TokenResult::Valid)].add(1)`.
#[derive(Debug)]
pub struct Family<P, H> {
    handles: Box<[H]>,
    position: PhantomData<fn(P)>,
}

impl<P, H> Family<P, H> {
    /// The handles in the order of their labels.
    pub fn iter(&self) -> std::slice::Iter<'_, H> {
        self.handles.iter()
    }
}

impl<'a, P, H> IntoIterator for &'a Family<P, H> {
    type Item = &'a H;
    type IntoIter = std::slice::Iter<'a, H>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<P> Family<P, Counter> {
    /// Adds a turn's counts, which stand in the order of the labels.
    pub fn add_all(&self, counts: &[u64]) {
        debug_assert_eq!(counts.len(), self.handles.len(), "a count for each label and a label for each count");
        for (handle, count) in self.handles.iter().zip(counts) {
            handle.add(*count);
        }
    }
}

impl<P: Position, H> Index<P> for Family<P, H> {
    type Output = H;

    fn index(&self, position: P) -> &H {
        &self.handles[position.position()]
    }
}

impl<P: Position, H: Handle> Row for Family<P, H> {
    const KIND: Kind = H::KIND;
    const VALUES: &'static [Values] = P::VALUES;

    fn resolve(recorder: &dyn Recorder, metric: &'static Metric, _: usize) -> Self {
        let sizes = || P::VALUES.iter().map(|values| values.closed().len());
        let handles = (0..P::COUNT).map(|position| {
            let labels = metric.labels.iter().zip(P::VALUES).zip(split(position, sizes()));
            let labels = labels.map(|((name, values), index)| KeyLabel::new(*name, values.closed()[index]));
            H::register(recorder, &Key::from_parts(metric.name, labels.collect::<Vec<_>>()))
        });
        Self { handles: handles.collect(), position: PhantomData }
    }
}

impl Values {
    /// The words of a closed set; nothing for one that depends on the process.
    const fn closed(&self) -> &'static [&'static str] {
        match self {
            Self::Closed(names) => names,
            Self::Shards | Self::Certificates | Self::Build(_) => &[],
        }
    }
}

/// Takes a position apart into one index for each label; the last label moves fastest.
pub(crate) fn split(position: usize, sizes: impl DoubleEndedIterator<Item = usize>) -> Vec<usize> {
    let mut rest = position;
    let mut indices: Vec<usize> = sizes
        .rev()
        .map(|size| {
            let index = rest % size;
            rest /= size;
            index
        })
        .collect();
    indices.reverse();
    indices
}

/// A metric with the label `shard`, of which a shard holds its own series.
#[derive(Clone, Debug)]
pub struct PerShard<H>(H);

impl<H> Deref for PerShard<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.0
    }
}

impl<H: Handle> Row for PerShard<H> {
    const KIND: Kind = H::KIND;
    const VALUES: &'static [Values] = &[Values::Shards];

    fn resolve(recorder: &dyn Recorder, metric: &'static Metric, shard: usize) -> Self {
        let label = KeyLabel::new("shard", labels::shard(shard));
        Self(H::register(recorder, &Key::from_parts(metric.name, vec![label])))
    }
}

/// A metric with the label `certificate`: its number in the order of the configuration.
#[derive(Debug)]
pub struct PerCertificate<H>(Box<[H]>);

impl<H> PerCertificate<H> {
    /// The handle of one certificate; beyond the number of them that is exported, there is none.
    pub fn get(&self, certificate: usize) -> Option<&H> {
        self.0.get(certificate)
    }
}

impl<H: Handle> Row for PerCertificate<H> {
    const KIND: Kind = H::KIND;
    const VALUES: &'static [Values] = &[Values::Certificates];

    fn resolve(recorder: &dyn Recorder, metric: &'static Metric, _: usize) -> Self {
        let handle = |name: &'static str| {
            H::register(recorder, &Key::from_parts(metric.name, vec![KeyLabel::new("certificate", name)]))
        };
        Self(labels::CERTIFICATES.into_iter().map(handle).collect())
    }
}

/// The metric whose labels describe the build. The registry sets it; there is nothing to hold.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo;

impl Row for BuildInfo {
    const KIND: Kind = Kind::Gauge;
    const VALUES: &'static [Values] = &[
        Values::Build(BuildField::Version),
        Values::Build(BuildField::Revision),
        Values::Build(BuildField::Rustc),
        Values::Build(BuildField::Features),
    ];

    fn resolve(_: &dyn Recorder, _: &'static Metric, _: usize) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{Direction, Role, Space};

    #[test]
    fn positions_and_indices_are_inverse() {
        let mut expected = 0;
        for role in Role::ALL {
            for space in Space::ALL {
                for direction in Direction::ALL {
                    let position = (*role, *space, *direction).position();
                    assert_eq!(position, expected);
                    assert_eq!(
                        split(position, [Role::NAMES.len(), Space::NAMES.len(), Direction::NAMES.len()].into_iter()),
                        [role.index(), space.index(), direction.index()]
                    );
                    expected += 1;
                }
            }
        }
        assert_eq!(expected, <(Role, Space, Direction)>::COUNT);
    }

    #[test]
    fn labels_are_found_by_their_names() {
        for role in Role::ALL {
            assert_eq!(Role::named(role.as_str()).map(Label::index), Some(role.index()));
        }
        assert!(Role::named("observer").is_none());
    }
}
