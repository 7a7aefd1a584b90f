//! What the router says.

use super::driver::{Driver, Working};
use super::error::{CallError, RequestError};
use super::gap::{Ask, Question, page};
use super::order::Invoked;
use super::queue::{queue, weight};
use super::state::Ended;
use super::waiter::Waiter;
use crate::wamp::id::{RegistrationId, SubscriptionId};
use crate::wamp::message::{Goodbye, Invocation, Result as CallResult};
use crate::wamp::payload::Payload;
use crate::wamp::{Dict, Message, Value, codec, error};
use tokio::sync::oneshot;

impl Driver {
    pub(super) fn hear(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.subscriptions.deliver(event),
            Message::Invocation(invocation) => self.invoke(invocation),
            Message::Interrupt(interrupt) => {
                let number = self.invoked.remove(&interrupt.request);
                if let Some(working) = number.and_then(|number| self.working.remove(&number)) {
                    let _ = working.interrupt.send(());
                    if working.more.is_some() {
                        self.cut_short(interrupt.request);
                    }
                    let _ = self.fail(interrupt.request, error::CANCELED.into(), Payload::NONE);
                }
            }
            Message::Goodbye(goodbye) => {
                if !self.is_leaving() {
                    let reason = error::GOODBYE_AND_OUT.into();
                    let _ = self.send(&Goodbye { details: Dict::new(), reason }.into());
                }
                self.end(Ended::Closed(goodbye.reason, goodbye.details));
            }
            Message::Abort(abort) => self.end(Ended::Closed(abort.reason, abort.details)),
            Message::Unsubscribed(gone) if gone.request.get() == 0 => {
                let id = gone.details.and_then(|details| details.uint("subscription").ok().flatten());
                self.subscriptions.revoked(SubscriptionId::from_raw(id.unwrap_or_default()));
            }
            Message::Unregistered(gone) if gone.request.get() == 0 => {
                let details = gone.details.unwrap_or_default();
                let id = RegistrationId::from_raw(details.uint("registration").ok().flatten().unwrap_or_default());
                // A router that ends calls nobody any longer, and says GOODBYE when what has begun is done. It is the
                // connection that is lost with it, not what is offered.
                let ends = details.str("reason").is_ok_and(|reason| reason == Some(error::SYSTEM_SHUTDOWN));
                self.registrations.revoked(id, ends);
            }
            answer => self.hand_out(answer),
        }
    }

    fn invoke(&mut self, invocation: Invocation) {
        let (request, weight) = (invocation.request, weight(invocation.payload.len()));
        let more_follows = matches!(invocation.details.bool("progress"), Ok(Some(true)));
        if let Some(number) = self.invoked.get(&request) {
            // More arguments of a call that is worked on.
            let working = self.working.get_mut(number);
            if let Some((working, feed)) = working.and_then(|working| working.more.take().map(|feed| (working, feed))) {
                let _ = feed.put(invocation, weight);
                working.more = more_follows.then_some(feed);
            }
            return;
        }
        if self.cut_short.contains(&request) {
            // It has its answer.
            return;
        }
        self.invocations += 1;
        let number = self.invocations;
        let (interrupt, interrupted) = oneshot::channel();
        let (feed, more) = more_follows.then(|| queue(&self.tally)).unzip();
        self.invoked.insert(request, number);
        self.working.insert(number, Working { request, interrupt, more: feed });
        let wanted = self.registrations.by_id(invocation.registration);
        let invoked = Invoked { invocation, number, interrupted, more };
        if !wanted.is_some_and(|wanted| wanted.feed.put(invoked, weight)) {
            let why = CallError::new(error::UNAVAILABLE, "the procedure is being withdrawn");
            self.answer(number, Err(why));
        }
    }

    /// Gives an answer to who waits for it.
    fn hand_out(&mut self, message: Message) {
        let (request, error) = match &message {
            Message::Published(m) => (m.request, None),
            Message::Subscribed(m) => (m.request, None),
            Message::Unsubscribed(m) => (m.request, None),
            Message::Registered(m) => (m.request, None),
            Message::Unregistered(m) => (m.request, None),
            Message::Result(m) => (m.request, None),
            Message::Error(m) => {
                let (args, kwargs) = m.payload.values().unwrap_or_default();
                (m.request, Some(CallError { error: m.error.clone(), args, kwargs }))
            }
            other => {
                let why = format!("the router broke the protocol: {} is not for clients", other.message_type().name());
                return self.end(Ended::Lost(why));
            }
        };
        if let Message::Result(result) = &message
            && matches!(result.details.bool("progress"), Ok(Some(true)))
        {
            if let Some(Waiter::Call(_, feed)) = self.waiters.get(&request) {
                feed.put(Ok(result.clone()), weight(result.payload.len()));
            }
            return;
        }
        let Some(waiter) = self.waiters.remove(&request) else { return };
        let subscribes = matches!(waiter, Waiter::Subscribe(_));
        match &waiter {
            Waiter::Call(number, _) => drop(self.calls.remove(number)),
            Waiter::Subscribe(_) => self.subscriptions.asking -= 1,
            _ => {}
        }
        match error {
            Some(error) => self.disappoint(waiter, error),
            None => self.satisfy(waiter, message),
        }
        if subscribes {
            self.unsubscribe_unwanted();
        }
    }

    fn disappoint(&mut self, waiter: Waiter, error: CallError) {
        match waiter {
            Waiter::Subscribe(number) => self.subscriptions.refused(number, RequestError::Refused(error)),
            Waiter::Register(number) => self.registrations.refused(number, RequestError::Refused(error)),
            Waiter::Past(number, question) => {
                tracing::debug!(%error, "the history of a topic is not to be had");
                if let Some(next) = self.subscriptions.past_unknown(number, question) {
                    self.ask_past(number, next);
                }
            }
            other => other.fail(RequestError::Refused(error)),
        }
    }

    fn satisfy(&mut self, waiter: Waiter, message: Message) {
        match (waiter, message) {
            (Waiter::Publish(answer, excluded), Message::Published(m)) => {
                if excluded && self.fills_gaps {
                    self.subscriptions.published(m.publication);
                }
                let _ = answer.send(Ok(m.publication));
            }
            (Waiter::Subscribe(number), Message::Subscribed(m)) => {
                if let Some(ask) = self.subscriptions.subscribed(number, m.subscription, self.fills_gaps) {
                    self.ask_past(number, ask);
                }
            }
            (Waiter::Register(number), Message::Registered(m)) => {
                if let Some(unwanted) = self.registrations.registered(number, m.registration) {
                    self.unregister(unwanted, None);
                }
            }
            (Waiter::Unregister(answer), Message::Unregistered(_)) => {
                answer.into_iter().for_each(|answer| drop(answer.send(Ok(()))));
            }
            (Waiter::Call(_, feed), Message::Result(m)) => {
                let weight = weight(m.payload.len());
                let _ = feed.put(Ok(m), weight);
            }
            (Waiter::Testament(None), Message::Result(_)) | (Waiter::Unsubscribe, Message::Unsubscribed(_)) => {}
            (Waiter::Testament(Some((testament, answer))), Message::Result(_)) => {
                self.testaments.push(testament);
                let _ = answer.send(Ok(()));
            }
            (Waiter::Flush(scope, answer), Message::Result(_)) => {
                self.testaments.retain(|testament| testament.scope != scope);
                let _ = answer.send(Ok(()));
            }
            (Waiter::Past(number, ask), Message::Result(m)) => self.hear_past(number, ask, &m),
            (waiter, other) => {
                let why = format!("the router broke the protocol: {} is not the answer", other.message_type().name());
                // It is failed with all others.
                self.waiters.insert(crate::wamp::id::RequestId::from_raw(0), waiter);
                self.end(Ended::Lost(why));
            }
        }
    }

    fn ask_past(&mut self, number: u64, question: Question) {
        let Some((procedure, args, kwargs)) = self.subscriptions.ask(number, question) else { return };
        // Numbers and topics can be said in any serialization.
        if let Ok(raw) = codec::payload(self.link.serializer, args, kwargs) {
            self.ask_router(procedure, raw, Waiter::Past(number, question));
        }
    }

    fn hear_past(&mut self, number: u64, question: Question, result: &CallResult) {
        let (args, _) = result.payload.values().unwrap_or_default();
        let serializer = self.link.serializer;
        let next = match question.ask {
            Ask::Match => {
                let ids = match args.first() {
                    Some(Value::List(ids)) => ids.iter().filter_map(Value::as_uint).collect(),
                    _ => Vec::new(),
                };
                self.subscriptions.matched(number, ids.into_iter().map(SubscriptionId::from_raw).collect())
            }
            _ => self.subscriptions.past(number, question, page(question.is_reversed(), args), serializer),
        };
        if let Some(next) = next {
            self.ask_past(number, next);
        }
    }
}
