use std::string::{String, ToString};

use super::*;
use crate::NewReno;

#[derive(Debug)]
struct Mine(&'static str, &'static [Parameter]);

const PACE: Parameter =
    Parameter { name: "pace", about: "how fast", unit: Unit::Thousandths, least: 500, most: 3000, default: 1250 };
const WAIT: Parameter =
    Parameter { name: "long_wait", about: "how long", unit: Unit::Milliseconds, least: 1, most: 60_000, default: 200 };
const LOUD: Parameter =
    Parameter { name: "loud", about: "whether loud", unit: Unit::Switch, least: 0, most: 1, default: 0 };

impl Factory for Mine {
    fn name(&self) -> &'static str {
        self.0
    }

    fn about(&self) -> &'static str {
        "made by a user"
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.1
    }

    fn start(&self, parameters: &Parameters, conditions: &InitialConditions) -> Box<dyn Controller> {
        let window = Some(parameters.get(1) * 100);
        let conditions = InitialConditions { initial_window: window, ..*conditions };
        Box::new(NewReno::new(&conditions, &Parameters::default()))
    }

    fn start_from(&self, _: &Parameters, snapshot: &Snapshot, now: Time) -> Box<dyn Controller> {
        Box::new(NewReno::from_snapshot(snapshot, now, &Parameters::default()))
    }
}

static MINE: Mine = Mine("mine", &[PACE, WAIT, LOUD]);

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register(&MINE).unwrap();
    registry
}

#[test]
fn every_algorithm_is_found_by_its_name_and_says_it() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        assert!(!algorithm.about().is_empty());
        let conditions = InitialConditions { datagram_size: 1200, ..InitialConditions::default() };
        let controller = algorithm.start(&conditions);
        assert_eq!(controller.name(), algorithm.name());
        let snapshot = controller.snapshot(Time::ZERO);
        assert_eq!(algorithm.start_from(&snapshot, Time::ZERO).name(), snapshot.controller);
        for (parameter, value) in algorithm.describe() {
            assert!((parameter.least..=parameter.most).contains(&value), "{algorithm} {parameter:?}");
            assert_eq!(algorithm.with(parameter.name, &parameter.show(value)), Ok(algorithm));
        }
    }
}

#[test]
fn spelling_is_forgiven() {
    for spelling in ["NewReno", "new_reno", "new-reno", "reno", "RENO"] {
        assert_eq!(spelling.parse(), Ok(Algorithm::NEW_RENO), "{spelling}");
    }
    assert_eq!("CUBIC".parse(), Ok(Algorithm::CUBIC));
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let nearest = |text: &str| match text.parse::<Algorithm>() {
        Err(AlgorithmError::Unknown(name)) => name.nearest(),
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("cubix"), Some("cubic"));
    assert_eq!(nearest("newrino"), Some("newreno"));
    let text = "cubix".parse::<Algorithm>().unwrap_err().to_string();
    assert!(
        text.starts_with("no congestion controller is named \"cubix\"; did you mean \"cubic\"? There are: newreno,")
    );
    assert!("x".repeat(100_000).parse::<Algorithm>().unwrap_err().to_string().len() < 300);
}

#[test]
fn an_initial_window_below_the_minimum_is_raised_to_it() {
    let conditions = InitialConditions { datagram_size: 1200, initial_window: Some(1), ..InitialConditions::default() };
    assert_eq!(Algorithm::CUBIC.start(&conditions).window().congestion_window, 2400);
}

#[test]
fn a_users_own_controller_is_found_by_name_with_its_parameters() {
    let registry = registry();
    let found = registry.find("mine:pace=2.77,long-wait=1.5s,loud=on").unwrap();
    let values: alloc::vec::Vec<u64> = found.describe().map(|(_, value)| value).collect();
    assert_eq!(values, [2770, 1500, 1]);
    assert_eq!(found.to_string(), "mine:pace=2.77,long_wait=1500ms,loud=on");
    assert_eq!(registry.find(&found.to_string()), Ok(found));
    assert_eq!(registry.find("mine").unwrap().to_string(), "mine");
    let conditions = InitialConditions { datagram_size: 1200, ..InitialConditions::default() };
    assert_eq!(found.start(&conditions).window().congestion_window, 150_000);
    assert_eq!(registry.all().len(), Algorithm::ALL.len() + 1);
}

#[test]
fn a_wrong_parameter_is_answered_with_what_would_be_right() {
    let registry = registry();
    let said = |text: &str| registry.find(text).unwrap_err().to_string();
    assert_eq!(
        said("mine:pase=1"),
        "mine: no parameter is named \"pase\"; did you mean \"pace\"? There are: pace, long_wait, loud"
    );
    assert_eq!(said("mine:pace=9"), "mine: pace may not be \"9\": it is a ratio from 0.5 to 3, by default 1.25");
    for wrong in ["", "x", "-1", "1.2345", ".5", "99999999999999999999", "1e3"] {
        assert!(registry.find("mine").unwrap().with("pace", wrong).is_err(), "{wrong}");
    }
    assert!(said("mine:loud").contains("NAME=VALUE"));
    assert!(said("newreno:x=1").contains("there are none"));
    for (text, value) in [("5", 5), ("5ms", 5), ("0.5s", 500), ("60s", 60_000)] {
        let set = registry.find("mine").unwrap().with("long_wait", text).unwrap();
        assert_eq!(set.parameters().get(1), value, "{text}");
    }
}

#[test]
fn what_cannot_be_registered_is_refused() {
    static UPPER: Mine = Mine("Mine", &[]);
    static TAKEN: Mine = Mine("new_reno", &[]);
    static MANY: Mine = Mine("many", &[PACE; MAXIMUM_PARAMETERS + 1]);
    static MAD: Mine = Mine("mad", &[Parameter { default: 1, ..PACE }]);
    let mut registry = registry();
    let mut refused = |factory| registry.register(factory).unwrap_err();
    assert_eq!(refused(&UPPER), RegisterError::NotAName("Mine"));
    assert_eq!(refused(&TAKEN), RegisterError::NameTaken("new_reno"));
    assert_eq!(refused(&MINE), RegisterError::NameTaken("mine"));
    assert_eq!(refused(&MANY), RegisterError::BadParameters("many"));
    assert_eq!(refused(&MAD), RegisterError::BadParameters("mad"));
    let names: alloc::vec::Vec<String> = (0..64).map(|index| std::format!("own{index}")).collect();
    let full = names.into_iter().map(|name| {
        let name: &'static str = Box::leak(name.into_boxed_str());
        registry.register(Box::leak(Box::new(Mine(name, &[]))))
    });
    assert_eq!(full.last(), Some(Err(RegisterError::Full)));
}
