use super::*;

const FILE: &str = "/var/lib/gate/exemptions";

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn a_deletion_can_be_asked_for_again_until_it_is_in_force() {
    let text = "# ours\n100.64.0.2\n";
    let asked = |text, of, is_in_force| deleted(text, Path::new(FILE), prefix(of), is_in_force);
    for is_in_force in [true, false] {
        let edited = asked(text, "100.64.0.2/32", is_in_force).unwrap();
        assert_eq!(edited.text, "# ours\n");
        assert!(edited.before.is_some());
    }
    // It was written the first time, and not put in force.
    let again = asked("# ours\n", "100.64.0.2/32", true).unwrap();
    assert_eq!((again.text.as_str(), again.before), ("# ours\n", None));
    let error = asked(text, "100.64.0.0/24", false).unwrap_err();
    assert!(
        matches!(&error, ExemptError::NotThere { near, .. } if *near == [prefix("100.64.0.2/32")]),
        "{error}"
    );
}

/// What `settle` makes of a failure, with what is in force then.
fn failure(is_in_force: bool) -> ExemptError {
    let attempt = Attempt {
        at: Timestamp::UNIX_EPOCH,
        by: control::By::Exempt,
        force: false,
        outcome: Outcome::Failed(control::Cause {
            reason: "no memory".to_owned(),
            hint: None,
            generation: 7,
        }),
    };
    settle(&attempt, &|| is_in_force, Path::new(FILE), &|| Ok(())).unwrap_err()
}

#[test]
fn in_force_is_what_the_generation_was_made_of_whatever_its_number() {
    assert!(matches!(failure(true), ExemptError::Failed { .. }));
    assert!(matches!(failure(false), ExemptError::NotInForce { .. }));
}
