//! [`Validation`]: whether a path carries ECN marks truthfully (RFC 9000 §13.4.2).

pub use codec::frame::EcnCounts;

use crate::SpaceId;

/// The mark in the IP header of a received packet that had one (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ecn {
    /// ECT(0): what a sender sets that answers to a mark as to a loss.
    Ect0,
    /// ECT(1): what a sender sets that answers to the share of marked packets (RFC 9331).
    Ect1,
    /// Congestion experienced.
    Ce,
}

/// Where the validation of a path stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The first packets are marked, and nothing is known yet.
    Testing,
    /// Marks arrive and are reported.
    Capable,
    /// No packet is marked any more.
    Failed,
}

/// What was found out about a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EcnVerdict {
    /// Marks arrive and are reported.
    Capable,
    /// No packet will be marked any more on this path.
    Failed(Failure),
}

/// Why validation failed. Never a reason to close the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Marked packets were acknowledged without counts: the peer or the path hides the marks.
    Missing,
    /// A count became less than it was.
    Decreased,
    /// Fewer marks arrived than marked packets.
    TooFew,
    /// More marks arrived than were sent, or a mark that we never set.
    TooMany,
    /// All marked packets were lost.
    Lost,
}

impl Failure {
    /// The label of logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Decreased => "decreased",
            Self::TooFew => "too_few",
            Self::TooMany => "too_many",
            Self::Lost => "lost",
        }
    }
}

/// Packets marked while nothing is known of a path (RFC 9000 §13.4.2).
const TESTING_PACKETS: u64 = 10;
/// Marked packets that must have been lost, all of them, before the mark is blamed: with fewer it may be chance.
const TESTING_LOST: u64 = 3;

/// The validation of ECN on one path, and the counts of each space, which outlive the path.
#[derive(Clone, Debug)]
pub struct Validation {
    state: State,
    /// Of the packets sent on this path with a mark: how many, how many lost, how many acknowledged.
    marked: u64,
    lost: u64,
    acknowledged: u64,
    /// Packets are marked ECT(1), not ECT(0).
    scalable: bool,
    /// The shell cannot mark.
    disabled: bool,
    spaces: [Reported; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    /// What the last ACK said that increased the largest acknowledged number.
    counts: EcnCounts,
    /// Packets sent with ECT(0) and with ECT(1), on all paths.
    sent: [u64; 2],
}

/// What one ACK said about marks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Finding {
    /// Something new is known about the path.
    pub verdict: Option<EcnVerdict>,
    /// Packets newly reported as CE, when the path can be believed.
    pub ce: u64,
}

impl Validation {
    /// A path of which nothing is known.
    pub fn new() -> Self {
        Self {
            state: State::Testing,
            marked: 0,
            lost: 0,
            acknowledged: 0,
            scalable: false,
            disabled: false,
            spaces: [Reported::default(); 3],
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the next packet should be sent with the [codepoint](Self::codepoint).
    pub const fn marks(&self) -> bool {
        match self.state {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2
            //# for only the first ten outgoing packets on a path
            State::Testing => self.marked < TESTING_PACKETS,
            State::Capable => true,
            State::Failed => false,
        }
    }

    /// The mark that packets are sent with.
    pub const fn codepoint(&self) -> Ecn {
        if self.scalable { Ecn::Ect1 } else { Ecn::Ect0 }
    }

    /// From now on packets carry ECT(1), or ECT(0). A path that carries one need not carry the other: it is tested again,
    /// unless the shell cannot mark at all.
    pub const fn set_scalable(&mut self, scalable: bool) {
        if self.scalable != scalable {
            self.scalable = scalable;
            if !self.disabled {
                self.restart_path();
            }
        }
    }

    /// A new path: tested again, against the counts so far.
    pub const fn restart_path(&mut self) {
        self.state = State::Testing;
        self.marked = 0;
        self.lost = 0;
        self.acknowledged = 0;
    }

    /// Stops marking, because the shell cannot set the mark or read the peer's.
    pub const fn disable(&mut self) {
        self.state = State::Failed;
        self.disabled = true;
    }

    /// A marked packet was sent.
    pub fn on_sent(&mut self, space: SpaceId) {
        self.marked += 1;
        let codepoint = usize::from(self.scalable);
        if let Some(sent) = self.reported(space).sent.get_mut(codepoint) {
            *sent += 1;
        }
    }

    /// A marked packet of this path was lost.
    pub fn on_lost(&mut self) -> Option<EcnVerdict> {
        self.lost += 1;
        let all = self.acknowledged == 0 && self.lost >= self.marked;
        (self.state == State::Testing && all && self.lost >= TESTING_LOST).then(|| self.fail(Failure::Lost))
    }

    /// An ACK frame that newly acknowledges `newly_marked` marked packets of this path.
    pub fn on_ack(
        &mut self,
        space: SpaceId,
        newly_marked: u64,
        counts: Option<EcnCounts>,
        increases_largest: bool,
    ) -> Finding {
        self.acknowledged = self.acknowledged.saturating_add(newly_marked);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1
        //# An
        //# endpoint MUST NOT fail ECN validation as a result of processing an ACK frame
        //# that does not increase the largest acknowledged packet number.
        if !increases_largest {
            return Finding::default();
        }
        let reported = self.reported(space);
        let (before, sent) = (reported.counts, reported.sent);
        // Remembered whatever the verdict, because a later path starts from here.
        reported.counts = counts.unwrap_or(before);
        if self.state == State::Failed {
            return Finding::default();
        }
        match increase(before, counts, newly_marked, sent) {
            Err(failure) => Finding { verdict: Some(self.fail(failure)), ce: 0 },
            Ok(_) if newly_marked == 0 => Finding::default(),
            Ok(ce) => {
                let verdict = (self.state == State::Testing).then_some(EcnVerdict::Capable);
                self.state = State::Capable;
                Finding { verdict, ce }
            }
        }
    }

    const fn fail(&mut self, failure: Failure) -> EcnVerdict {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2
        //# If validation fails, then the endpoint MUST disable ECN.
        self.state = State::Failed;
        EcnVerdict::Failed(failure)
    }

    const fn reported(&mut self, space: SpaceId) -> &mut Reported {
        &mut self.spaces[space.index()]
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self::new()
    }
}

/// How many more packets are reported as CE, or what is wrong with the counts.
fn increase(before: EcnCounts, counts: Option<EcnCounts>, newly_marked: u64, sent: [u64; 2]) -> Result<u64, Failure> {
    let Some(counts) = counts else {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1
        //# If an ACK frame newly acknowledges a packet that the endpoint sent with either
        //# the ECT(0) or ECT(1) codepoint set, ECN validation fails if the corresponding
        //# ECN counts are not present in the ACK frame.
        return if newly_marked > 0 { Err(Failure::Missing) } else { Ok(0) };
    };
    let ect0 = counts.ect0.checked_sub(before.ect0).ok_or(Failure::Decreased)?;
    let ect1 = counts.ect1.checked_sub(before.ect1).ok_or(Failure::Decreased)?;
    let ce = counts.ce.checked_sub(before.ce).ok_or(Failure::Decreased)?;
    if newly_marked == 0 {
        // Whatever arrived was an earlier path's, and says nothing of this one.
        return Ok(0);
    }
    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1
    //# ECN validation also fails if the sum of the increase in ECT(0) and ECN-CE counts
    //# is less than the number of newly acknowledged packets that were originally sent
    //# with an ECT(0) marking.
    // The same holds for ECT(1). Which of the two a newly acknowledged packet had is not remembered: packets of both are
    // under way only when the codepoint has just changed, and the totals below hold for each.
    if ect0.saturating_add(ect1).saturating_add(ce) < newly_marked {
        return Err(Failure::TooFew);
    }
    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1
    //# In particular, validation will fail when an endpoint receives a non-zero ECN
    //# count corresponding to an ECT codepoint that it never applied.
    // What an earlier path made of its marks is not held against this one: only counts that increased are looked at.
    let [sent0, sent1] = sent;
    let known = counts.ect0.min(sent0).saturating_add(counts.ect1.min(sent1)).saturating_add(counts.ce);
    let never_set = ect0 > 0 && counts.ect0 > sent0 || ect1 > 0 && counts.ect1 > sent1;
    if never_set || known > sent0.saturating_add(sent1) {
        return Err(Failure::TooMany);
    }
    Ok(ce)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: SpaceId = SpaceId::Application;

    const fn counts(ect0: u64, ect1: u64, ce: u64) -> Option<EcnCounts> {
        Some(EcnCounts { ect0, ect1, ce })
    }

    fn sent(packets: u64) -> Validation {
        let mut validation = Validation::new();
        for _ in 0..packets {
            validation.on_sent(SPACE);
        }
        validation
    }

    fn failed(finding: Finding) -> Option<Failure> {
        match finding.verdict {
            Some(EcnVerdict::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    #[test]
    fn ten_packets_are_marked_until_something_is_known() {
        let mut validation = sent(9);
        assert!(validation.marks());
        validation.on_sent(SPACE);
        assert!(!validation.marks());
        let finding = validation.on_ack(SPACE, 4, counts(4, 0, 0), true);
        assert_eq!(finding, Finding { verdict: Some(EcnVerdict::Capable), ce: 0 });
        assert!(validation.marks());
    }

    #[test]
    fn a_truthful_path_is_capable_and_reports_congestion() {
        let mut validation = sent(10);
        validation.on_ack(SPACE, 2, counts(2, 0, 0), true);
        let finding = validation.on_ack(SPACE, 3, counts(3, 0, 2), true);
        assert_eq!(finding, Finding { verdict: None, ce: 2 });
        assert_eq!(validation.state(), State::Capable);
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1
    //= type=test
    //# If an ACK frame newly acknowledges a packet that the endpoint sent with either
    //# the ECT(0) or ECT(1) codepoint set, ECN validation fails if the corresponding
    //# ECN counts are not present in the ACK frame.
    #[test]
    fn missing_counts_fail_only_when_a_marked_packet_is_acknowledged() {
        let mut validation = sent(10);
        assert_eq!(validation.on_ack(SPACE, 0, None, true), Finding::default());
        assert_eq!(failed(validation.on_ack(SPACE, 1, None, true)), Some(Failure::Missing));
        assert!(!validation.marks());
    }

    #[test]
    fn a_change_of_the_codepoint_tests_the_path_again() {
        let mut validation = sent(10);
        validation.on_ack(SPACE, 4, counts(4, 0, 0), true);
        validation.set_scalable(false);
        assert_eq!((validation.state(), validation.codepoint()), (State::Capable, Ecn::Ect0), "no change");
        validation.set_scalable(true);
        assert_eq!((validation.state(), validation.codepoint()), (State::Testing, Ecn::Ect1));
        for _ in 0..10 {
            validation.on_sent(SPACE);
        }
        // Packets of both codepoints are acknowledged at once, and two of them were marked on the way.
        let finding = validation.on_ack(SPACE, 16, counts(9, 9, 2), true);
        assert_eq!(finding, Finding { verdict: Some(EcnVerdict::Capable), ce: 2 });
        // A path that makes ECT(1) of ECT(0), or the other way round, is none to believe.
        let mut remarked = validation.clone();
        assert_eq!(failed(remarked.on_ack(SPACE, 1, counts(11, 9, 2), true)), Some(Failure::TooMany));
        assert_eq!(failed(validation.on_ack(SPACE, 1, counts(9, 11, 2), true)), Some(Failure::TooMany));
    }

    #[test]
    fn a_shell_that_cannot_mark_is_not_asked_again_for_another_codepoint() {
        let mut validation = Validation::new();
        validation.disable();
        validation.set_scalable(true);
        assert!(!validation.marks());
    }

    #[test]
    fn decreasing_counts_fail() {
        for worse in [counts(2, 0, 1), counts(3, 0, 0)] {
            let mut validation = sent(10);
            validation.on_ack(SPACE, 4, counts(3, 0, 1), true);
            assert_eq!(failed(validation.on_ack(SPACE, 0, worse, true)), Some(Failure::Decreased));
        }
    }

    #[test]
    fn bleached_packets_fail() {
        let mut validation = sent(10);
        assert_eq!(failed(validation.on_ack(SPACE, 3, counts(1, 0, 1), true)), Some(Failure::TooFew));
    }

    #[test]
    fn marks_that_were_never_set_fail() {
        let mut remarked = sent(10);
        assert_eq!(failed(remarked.on_ack(SPACE, 1, counts(1, 1, 0), true)), Some(Failure::TooMany));
        let mut flooded = sent(10);
        assert_eq!(failed(flooded.on_ack(SPACE, 1, counts(1, 0, 10), true)), Some(Failure::TooMany));
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1
    //= type=test
    //# An
    //# endpoint MUST NOT fail ECN validation as a result of processing an ACK frame
    //# that does not increase the largest acknowledged packet number.
    #[test]
    fn a_reordered_acknowledgement_fails_nothing() {
        let mut validation = sent(10);
        validation.on_ack(SPACE, 5, counts(5, 0, 0), true);
        assert_eq!(validation.on_ack(SPACE, 1, counts(2, 0, 0), false), Finding::default());
        assert_eq!(validation.on_ack(SPACE, 1, None, false), Finding::default());
        assert_eq!(validation.state(), State::Capable);
        // The marks that the reordered one would have reported are in the next.
        assert_eq!(validation.on_ack(SPACE, 1, counts(8, 0, 0), true).verdict, None);
    }

    #[test]
    fn a_path_that_swallows_all_marked_packets_fails() {
        let mut validation = sent(3);
        assert_eq!(validation.on_lost(), None);
        assert_eq!(validation.on_lost(), None);
        assert_eq!(validation.on_lost(), Some(EcnVerdict::Failed(Failure::Lost)));
        assert!(!validation.marks());
    }

    #[test]
    fn a_single_lost_packet_is_no_proof() {
        let mut validation = sent(1);
        assert_eq!(validation.on_lost(), None);
        assert!(validation.marks());
    }

    #[test]
    fn loss_after_success_is_not_held_against_the_mark() {
        let mut validation = sent(10);
        validation.on_ack(SPACE, 1, counts(1, 0, 0), true);
        for _ in 0..9 {
            assert_eq!(validation.on_lost(), None);
        }
    }

    #[test]
    fn a_new_path_is_tested_against_the_counts_of_the_earlier_one() {
        let mut validation = sent(10);
        validation.on_ack(SPACE, 10, counts(5, 5, 0), true);
        assert_eq!(validation.state(), State::Failed);
        validation.restart_path();
        assert!(validation.marks());
        validation.on_sent(SPACE);
        let finding = validation.on_ack(SPACE, 1, counts(6, 5, 0), true);
        assert_eq!(finding.verdict, Some(EcnVerdict::Capable));
    }

    #[test]
    fn congestion_of_an_earlier_path_is_not_this_paths() {
        let mut validation = sent(10);
        validation.restart_path();
        assert_eq!(validation.on_ack(SPACE, 0, counts(1, 0, 9), true), Finding::default());
    }

    #[test]
    fn spaces_are_counted_apart() {
        let mut validation = sent(1);
        validation.on_sent(SpaceId::Initial);
        assert_eq!(validation.on_ack(SpaceId::Initial, 1, counts(1, 0, 0), true).verdict, Some(EcnVerdict::Capable));
        assert_eq!(validation.on_ack(SPACE, 1, counts(1, 0, 0), true).verdict, None);
    }

    #[test]
    fn absurd_counts_saturate() {
        let mut validation = sent(1);
        let all = counts(u64::MAX, 0, u64::MAX);
        assert_eq!(failed(validation.on_ack(SPACE, u64::MAX, all, true)), Some(Failure::TooMany));
    }
}
