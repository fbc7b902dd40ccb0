//! [`transitions!`]: a state machine written as a table, so that what is not in it cannot happen.

/// Declares the states, the events, and for each event where it leads from where. A pair that is not listed means
/// nothing: the event is ignored in that state.
macro_rules! transitions {
    (
        $(#[$state_meta:meta])*
        states $State:ident { $($(#[$state_doc:meta])* $state:ident,)+ }
        $(#[$event_meta:meta])*
        events $Event:ident { $($(#[$event_doc:meta])* $event:ident { $($from:ident => $to:ident,)* })+ }
    ) => {
        $(#[$state_meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum $State { $($(#[$state_doc])* $state,)+ }

        $(#[$event_meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum $Event { $($(#[$event_doc])* $event,)+ }

        impl $State {
            /// Where `event` leads from here, or `None` if it means nothing here.
            pub(super) const fn after(self, event: $Event) -> Option<Self> {
                match (self, event) {
                    $($((Self::$from, $Event::$event) => Some(Self::$to),)*)+
                    _ => None,
                }
            }

            /// Goes where `event` leads. Returns whether it meant anything.
            pub(super) const fn on(&mut self, event: $Event) -> bool {
                match self.after(event) {
                    Some(next) => {
                        *self = next;
                        true
                    }
                    None => false,
                }
            }

            /// Every state x every event, one line each, for a snapshot.
            #[cfg(test)]
            pub(super) fn table() -> String {
                let mut table = String::new();
                for state in [$(Self::$state,)+] {
                    for event in [$($Event::$event,)+] {
                        let next = state.after(event).map_or_else(|| "-".to_owned(), |next| format!("{next:?}"));
                        table += &format!("{:<12} {:<14} {next}\n", format!("{state:?}"), format!("{event:?}"));
                    }
                }
                table
            }
        }
    };
}

pub(super) use transitions;

#[cfg(test)]
mod tests {
    transitions! {
        states Door { Open, Closed, }
        events Push { Pull { Closed => Open, } Shut { Open => Closed, } }
    }

    #[test]
    fn what_is_not_in_the_table_changes_nothing() {
        let mut door = Door::Open;
        assert!(!door.on(Push::Pull));
        assert_eq!(door, Door::Open);
        assert!(door.on(Push::Shut));
        assert_eq!(door, Door::Closed);
        assert_eq!(
            Door::table(),
            "Open         Pull           -\n\
             Open         Shut           Closed\n\
             Closed       Pull           Open\n\
             Closed       Shut           -\n"
        );
    }
}
