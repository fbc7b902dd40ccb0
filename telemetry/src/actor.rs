//! Actor: mailboxes, turns, ends, and the credit between neighbours.

use crate::family::Family;
use crate::handle::{Counter, Histogram, Level, Peak};
use crate::layer::{label, layer};

label! {
    /// A type of actor.
    ActorType {
        Warden = "warden", Socket = "socket", Dispatcher = "dispatcher", Connection = "connection",
        Streams = "streams", Stream = "stream", Congestion = "congestion", Pacer = "pacer", Timer = "timer",
        Http3 = "http3", Admin = "admin",
    }
}

label! {
    /// Why an actor stopped.
    StopReason { Done = "done", Error = "error", Panic = "panic", Shutdown = "shutdown", }
}

label! {
    /// Why a mailbox did not take a message.
    Rejection { Full = "full", Closed = "closed", }
}

label! {
    /// Who has to have credit with whom before it may send. Edges between a connection and its children are not here: their
    /// credit is the protocol's (flow-control windows, send credit, one question at a time), and what they hold is in
    /// `quicast_connection_buffered_bytes`.
    Edge {
        SocketDispatcher = "socket_dispatcher", DispatcherDispatcher = "dispatcher_dispatcher",
        DispatcherConnection = "dispatcher_connection", DispatcherSocket = "dispatcher_socket",
        ConnectionSocket = "connection_socket", ApplicationStreams = "application_streams",
        ApplicationHttp3 = "application_http3",
    }
}

layer! {
    /// What the actors of a shard do, whatever they are about.
    ActorMetrics of "actor" {
        live: Family<ActorType, Level> = "quicast_actors" by ["actor"],
            "Live actors by type.";
        starts: Family<ActorType, Counter> = "quicast_actor_starts_total" by ["actor"],
            "Actors started.";
        stops: Family<(ActorType, StopReason), Counter> = "quicast_actor_stops_total" by ["actor", "reason"],
            "Actors stopped.";
        messages_enqueued: Family<ActorType, Counter> = "quicast_actor_messages_enqueued_total" by ["actor"],
            "Messages put in mailboxes.";
        messages_handled: Family<ActorType, Counter> = "quicast_actor_messages_handled_total" by ["actor"],
            "Messages handled. enqueued - handled = backlog.";
        mailbox_messages: Family<ActorType, Level> = "quicast_actor_mailbox_messages" by ["actor"],
            "Messages waiting now (sum over actors of the type).";
        mailbox_high_watermark: Family<ActorType, Peak> = "quicast_actor_mailbox_high_watermark" by ["actor"],
            "Largest mailbox since the last scrape.";
        mailbox_rejections: Family<Rejection, Counter> = "quicast_actor_mailbox_rejections_total" by ["reason"],
            "Messages that a mailbox did not take.";
        mailbox_wait: Family<ActorType, Histogram> = "quicast_actor_mailbox_wait_seconds" by ["actor"] in TURN,
            "Enqueue to handle (sampled 1/64).";
        handle_duration: Family<ActorType, Histogram> =
            "quicast_actor_handle_duration_seconds" by ["actor"] in TURN,
            "Time in a handler (sampled 1/64).";
        edge_credit: Family<Edge, Level> = "quicast_edge_credit" by ["edge"],
            "Free credit of an edge between actors (sum over edges of the name).";
        edge_full: Family<Edge, Counter> = "quicast_edge_full_total" by ["edge"],
            "Times a sender had no credit: it waited, or dropped and counted the reason.";
    }
}
