//! Where a server is in its life, for everybody who serves: as usual, coming to an end, or at its end.

use tokio::sync::watch;

/// Goes one way only.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// Whoever comes is served.
    Serving,
    /// Nobody new is taken; who is being served is served to the end.
    Draining,
    /// Everything stops now.
    Stopping,
}

/// Says which stage it is.
#[derive(Debug)]
pub(crate) struct Director(watch::Sender<Stage>);

impl Director {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Stage::Serving))
    }

    /// From now on it is this one, unless a later one has come already.
    pub(crate) fn advance(&self, stage: Stage) {
        self.0.send_if_modified(|now| {
            let later = stage > *now;
            *now = stage.max(*now);
            later
        });
    }

    /// Hears of it.
    pub(crate) fn watch(&self) -> Cue {
        Cue(self.0.subscribe())
    }
}

/// Hears which stage it is.
#[derive(Clone, Debug)]
pub(crate) struct Cue(watch::Receiver<Stage>);

impl Cue {
    /// Waits until this stage or a later one has come. A director who is gone without a word has stopped everything.
    pub(crate) async fn reached(&mut self, stage: Stage) {
        self.0.wait_for(|now| *now >= stage).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn stages_come_in_their_order_and_never_go_back() {
        let director = Director::new();
        let mut cue = director.watch();
        cue.reached(Stage::Serving).await;
        assert!(cue.reached(Stage::Draining).now_or_never().is_none());
        director.advance(Stage::Stopping);
        director.advance(Stage::Draining);
        cue.reached(Stage::Draining).await;
        assert!(cue.reached(Stage::Stopping).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_director_who_is_gone_has_stopped_everything() {
        let mut cue = Director::new().watch();
        cue.reached(Stage::Stopping).await;
    }
}
