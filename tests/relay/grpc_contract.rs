//! The contract only grows: what `proto/contract.txt` holds must still be
//! there, the same. `UPDATE_DESCRIPTORS=1` writes additions into it.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Each thing that programs rely on, by its name on the wire, and what it is.
type Contract = BTreeMap<String, String>;

fn current() -> FileDescriptorSet {
    FileDescriptorSet::decode(ff_relay::proto::DESCRIPTORS).unwrap()
}

fn contract_of(set: &FileDescriptorSet) -> Contract {
    let mut contract = Contract::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("ffrelay.")) {
        let package = file.package();
        for service in &file.service {
            let name = format!("{package}.{}", service.name());
            contract.insert(format!("service {name}"), String::new());
            for method in &service.method {
                let stream = |streaming: bool| if streaming { "stream " } else { "" };
                let (asks, answers) = (stream(method.client_streaming()), stream(method.server_streaming()));
                let what = format!("{asks}{} -> {answers}{}", method.input_type(), method.output_type());
                contract.insert(format!("rpc {name}/{}", method.name()), what);
            }
        }
        file.enum_type.iter().for_each(|it| note_enum(&mut contract, package, it));
        file.message_type.iter().for_each(|it| note_message(&mut contract, package, it));
    }
    contract
}

fn note_enum(contract: &mut Contract, scope: &str, it: &EnumDescriptorProto) {
    let name = format!("{scope}.{}", it.name());
    contract.insert(format!("enum {name}"), String::new());
    for value in &it.value {
        contract.insert(format!("value {name} {:03}", value.number()), value.name().to_owned());
    }
}

fn note_message(contract: &mut Contract, scope: &str, it: &DescriptorProto) {
    let name = format!("{scope}.{}", it.name());
    contract.insert(format!("message {name}"), String::new());
    for field in &it.field {
        contract.insert(format!("field {name} {:03}", field.number()), what_field(it, field));
    }
    it.enum_type.iter().for_each(|nested| note_enum(contract, &name, nested));
    it.nested_type.iter().for_each(|nested| note_message(contract, &name, nested));
}

fn what_field(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let presence = match (field.label(), field.proto3_optional(), field.oneof_index) {
        (Label::Repeated, ..) => "repeated ".to_owned(),
        (_, true, _) => "optional ".to_owned(),
        (_, _, Some(index)) => format!("oneof({}) ", message.oneof_decl[usize::try_from(index).unwrap()].name()),
        _ => String::new(),
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    format!("{presence}{kind} {}", field.name())
}

fn text_of(contract: &Contract) -> String {
    contract.iter().map(|(key, what)| format!("{key}: {what}").trim_end().to_owned() + "\n").collect()
}

fn read(text: &str) -> Contract {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pairs = lines.map(|line| line.split_once(':').unwrap_or_else(|| panic!("a line without a colon: {line}")));
    pairs.map(|(key, what)| (key.to_owned(), what.trim().to_owned())).collect()
}

/// What programs built from `committed` would miss.
fn breaks(committed: &Contract, current: &Contract) -> Vec<String> {
    let lost = committed.iter().filter_map(|(key, what)| match current.get(key) {
        None => Some(format!("gone: {key}: {what}")),
        Some(now) if now != what => Some(format!("changed: {key}: {what} is now {now}")),
        Some(_) => None,
    });
    lost.collect()
}

#[test]
fn nothing_that_programs_rely_on_goes_or_changes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/contract.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let (committed, current) = (read(&text), contract_of(&current()));
    let broken = breaks(&committed, &current);
    assert!(broken.is_empty(), "the gRPC contract is broken; add beside what is there instead:\n{}", broken.join("\n"));
    let update = std::env::var_os("UPDATE_DESCRIPTORS").is_some();
    if update {
        let head = "# What the gRPC contract promises, one thing a line. Lines are only ever added:\n\
                    # UPDATE_DESCRIPTORS=1 cargo test --test relay grpc_contract\n";
        std::fs::write(&path, head.to_owned() + &text_of(&current)).unwrap();
    } else if committed != current {
        let added = current.keys().filter(|key| !committed.contains_key(*key)).count();
        eprintln!("{added} additions are not in proto/contract.txt: run this test once with UPDATE_DESCRIPTORS=1");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let contract = contract_of(&current());
    assert!(contract.len() > 200, "{}", contract.len());
    assert_eq!(read(&text_of(&contract)), contract);
}

/// A change to the descriptors, and what the comparison must name.
type Break = (&'static str, fn(&mut FileDescriptorSet));

fn message<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut DescriptorProto {
    set.file.iter_mut().flat_map(|file| &mut file.message_type).find(|message| message.name() == name).unwrap()
}

fn field<'a>(set: &'a mut FileDescriptorSet, name: &str, field: &str) -> &'a mut FieldDescriptorProto {
    message(set, name).field.iter_mut().find(|it| it.name() == field).unwrap()
}

fn an_enum<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut EnumDescriptorProto {
    set.file.iter_mut().flat_map(|file| &mut file.enum_type).find(|it| it.name() == name).unwrap()
}

fn service<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut prost_types::ServiceDescriptorProto {
    set.file.iter_mut().flat_map(|file| &mut file.service).find(|it| it.name() == name).unwrap()
}

const BREAKS: &[Break] = &[
    ("Counts 001", |set| message(set, "Counts").field.retain(|field| field.name() != "flags")),
    ("Counts 002", |set| field(set, "Counts", "segments").number = Some(77)),
    ("uint64 segments is now string segments", |set| field(set, "Counts", "segments").set_type(Type::String)),
    ("uint64 segments is now uint64 parts", |set| field(set, "Counts", "segments").name = Some("parts".into())),
    ("is now repeated uint64 segments", |set| field(set, "Counts", "segments").set_label(Label::Repeated)),
    ("optional int64 version is now int64 version", |set| {
        let field = field(set, "Flag", "version");
        (field.proto3_optional, field.oneof_index) = (None, None);
    }),
    ("is now optional int64 served_version", |set| {
        field(set, "Flag", "served_version").proto3_optional = Some(true);
    }),
    ("oneof(subject) bytes target_json is now bytes target_json", |set| {
        field(set, "ExplainEvaluationRequest", "target_json").oneof_index = None;
    }),
    ("is now .ffrelay.inspect.v1.Counts revision", |set| {
        let field = field(set, "EnvironmentRevision", "revision");
        field.type_name = Some(".ffrelay.inspect.v1.Counts".into());
    }),
    ("gone: message ffrelay.inspect.v1.Counts", |set| {
        set.file.iter_mut().for_each(|file| file.message_type.retain(|message| message.name() != "Counts"));
    }),
    ("value ffrelay.inspect.v1.Reason 004: REASON_RULE", |set| {
        an_enum(set, "Reason").value.retain(|value| value.name() != "REASON_RULE");
    }),
    ("value ffrelay.inspect.v1.Reason 002", |set| an_enum(set, "Reason").value[2].number = Some(99)),
    ("REASON_OFF is now REASON_ON", |set| an_enum(set, "Reason").value[2].name = Some("REASON_ON".into())),
    ("gone: enum ffrelay.inspect.v1.Reason", |set| {
        set.file.iter_mut().for_each(|file| file.enum_type.retain(|it| it.name() != "Reason"));
    }),
    ("gone: rpc ffrelay.inspect.v1.InspectService/GetFlag", |set| {
        service(set, "InspectService").method.retain(|method| method.name() != "GetFlag");
    }),
    ("-> stream .ffrelay.inspect.v1.GetServerInfoResponse", |set| {
        service(set, "InspectService").method[0].server_streaming = Some(true);
    }),
    ("is now stream .ffrelay.inspect.v1.GetServerInfoRequest", |set| {
        service(set, "InspectService").method[0].client_streaming = Some(true);
    }),
    ("changed: rpc ffrelay.inspect.v1.InspectService/GetServerInfo", |set| {
        service(set, "InspectService").method[0].input_type = Some(".ffrelay.inspect.v1.GetFlagRequest".into());
    }),
    ("gone: service ffrelay.usage.v1.UsageService", |set| {
        set.file.iter_mut().for_each(|file| file.service.retain(|service| service.name() != "UsageService"));
    }),
];

#[test]
fn every_kind_of_break_is_named() {
    let committed = contract_of(&current());
    for (named, make) in BREAKS {
        let mut broken = current();
        make(&mut broken);
        let found = breaks(&committed, &contract_of(&broken));
        assert!(found.iter().any(|line| line.contains(named)), "not named: {named}\n{found:#?}");
    }
}

#[test]
fn additions_are_no_breaks() {
    let committed = contract_of(&current());
    let mut grown = current();
    let new = FieldDescriptorProto { name: Some("fresh".into()), number: Some(500), ..Default::default() };
    message(&mut grown, "Counts").field.push(new);
    let value =
        prost_types::EnumValueDescriptorProto { name: Some("REASON_NEW".into()), number: Some(50), options: None };
    an_enum(&mut grown, "Reason").value.push(value);
    service(&mut grown, "UsageService")
        .method
        .push(prost_types::MethodDescriptorProto { name: Some("Fresh".into()), ..Default::default() });
    let grown = contract_of(&grown);
    assert_eq!((breaks(&committed, &grown), grown.len()), (Vec::new(), committed.len() + 3));
}
