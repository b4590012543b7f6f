"""What happened around the backwards as JSON: updates, optimizers, calls of the loop."""

from __future__ import annotations

from gradscope.model.events import Call, OptimizerFacts
from gradscope.model.trace import Trace, Update
from gradscope.render.json_values import Document, maybe, number, source_document, text
from gradscope.render.options import RenderOptions
from gradscope.render.thin import spread


def update_documents(trace: Trace, options: RenderOptions) -> tuple[list[Document], int]:
    """A bounded choice of the updates, and how many were left out."""
    kept = spread(len(trace.updates), options.max_points * 10)
    return [_update(trace.updates[i]) for i in kept], len(trace.updates) - len(kept)


def call_documents(trace: Trace, options: RenderOptions) -> tuple[list[Document], int]:
    """A bounded choice of the calls, and how many were left out."""
    kept = spread(len(trace.calls), options.max_points * 10)
    return [_call(trace.calls[i]) for i in kept], len(trace.calls) - len(kept)


def optimizer_documents(trace: Trace) -> list[Document]:
    """Every optimizer that was made or stepped."""
    return [_optimizer(facts) for facts in trace.optimizers]


def _update(update: Update) -> Document:
    return {
        "index": update.index,
        "after_step": update.after_step,
        "by": update.by,
        "optimizer": maybe(update.optimizer),
        "source": source_document(update.source),
        "parameters": update.parameters,
        "starved": update.starved,
        "lr": number(update.lr),
        "maximize": update.maximize,
    }


def _optimizer(facts: OptimizerFacts) -> Document:
    return {
        "label": text(facts.label),
        "source": source_document(facts.source),
        "after_step": facts.after_step,
        "parameters": list(facts.parameters),
        "steps": facts.steps,
    }


def _call(call: Call) -> Document:
    return {
        "kind": call.kind,
        "after_step": call.after_step,
        "after_update": call.after_update,
        "source": source_document(call.source),
        "label": maybe(call.label),
        "value": number(call.value),
        "limit": number(call.limit),
        "count": call.count,
    }
