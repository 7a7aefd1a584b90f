use super::*;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: Option<f64>,
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i64, i64),
    Named { name: String },
}

fn same<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(what: T, value: Value) {
    assert_eq!(Value::of(&what).as_ref(), Ok(&value));
    assert_eq!(value.to::<T>(), Ok(what));
}

#[test]
fn types_are_written_and_read_back() {
    same(true, Value::Bool(true));
    same(-3_i8, Value::Int(-3));
    same(u64::MAX, Value::UInt(u64::MAX));
    same(0.5, Value::Float(0.5));
    same('x', "x".into());
    same(String::from("text"), "text".into());
    same((), Value::Null);
    same(None::<i64>, Value::Null);
    same((1, String::from("a")), vec![Value::Int(1), "a".into()].into());
    same(vec![1, 2], vec![Value::Int(1), Value::Int(2)].into());
    same(BTreeMap::from([(1, true)]), Value::Map(vec![(Value::Int(1), Value::Bool(true))]));
    let point = Dict::new().with("x", Value::Int(1)).with("y", Value::Null).with("name", "here");
    same(Point { x: 1, y: None, name: "here".into() }, point.into());
    same(Shape::Empty, "Empty".into());
    same(Shape::Circle(1.5), Dict::new().with("Circle", Value::Float(1.5)).into());
    same(Shape::Line(1, 2), Dict::new().with("Line", vec![Value::Int(1), Value::Int(2)]).into());
    same(Shape::Named { name: "a".into() }, Dict::new().with("Named", Dict::new().with("name", "a")).into());
    for value in [
        Value::Bin([1, 2].into()),
        Value::Map(vec![(Value::Null, Value::Int(1))]),
        Dict::new().with("a", vec![Value::Float(0.5)]).into(),
    ] {
        same(value.clone(), value);
    }
}

#[test]
fn floats_without_a_fraction_are_integers_where_integers_are_wanted() {
    assert_eq!(Value::Float(-7.0).to(), Ok(-7_i32));
    assert_eq!(Value::Float(9e15).to(), Ok(9_000_000_000_000_000_u64));
    assert_eq!(Value::Int(7).to(), Ok(7.0_f64));
}

#[test]
fn octets_are_lists_where_lists_are_wanted() {
    let octets = || Value::Bin([1, 2, 255].into());
    assert_eq!(octets().to(), Ok(vec![1_u8, 2, 255]));
    assert_eq!(octets().to(), Ok(Some(vec![1_u8, 2, 255])));
    assert_eq!(octets().to(), Ok([1_u8, 2, 255]));
    assert_eq!(Value::List(vec![Value::Int(7)]).to(), Ok(vec![7_u8]));
    assert_eq!(octets().to(), Ok(octets()));
    assert!(octets().to::<[u8; 2]>().is_err());
    assert!(octets().to::<Vec<String>>().is_err());
}

#[test]
fn what_does_not_fit_is_said() {
    assert!(Value::Float(0.5).to::<i64>().is_err());
    assert!(Value::Int(-1).to::<u64>().is_err());
    assert!(Value::Int(300).to::<u8>().is_err());
    assert!(Value::List(vec![Value::Int(1), Value::Int(2)]).to::<(i64,)>().is_err());
    assert!(Value::of(&u128::MAX).is_err());
    let error = Value::from("text").to::<i64>().expect_err("text is no number");
    assert!(error.to_string().contains("text"), "{error}");
    let error = Dict::from_iter([("x".into(), Value::Int(1))]);
    let error = Value::from(error).to::<Point>().expect_err("the name is missing");
    assert!(error.to_string().contains("name"), "{error}");
}
