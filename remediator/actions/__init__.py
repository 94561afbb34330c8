"""The drawer of actions: what a rule's `do:` can name."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.base import Action
from remediator.actions.escalate import Escalate
from remediator.actions.evict import Evict
from remediator.actions.recommend import Recommend
from remediator.actions.resize import Resize
from remediator.actions.restart import Restart
from remediator.actions.rollback import Rollback
from remediator.actions.scale import Scale
from remediator.actions.shed import Shed

ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Rollback(),
        Restart(),
        Evict(),
        Scale(),
        Shed(),
        Resize(),
        Recommend(),
        Escalate(),
    )
}
