"""How to adapt a library with a ``clone()``/``adapt()`` interface: a stand-in for such a library, and the adapter."""

from typing import Any

from autograd import grad as _grad
from autograd.tracer import getval

grad: Any = _grad
MOVING = {"nothing": "", "head": "w", "both": "Bw"}


class MetaLearner:
    """The stand-in: ``clone()`` for each task, ``adapt(loss)`` takes an inner step on the clone."""

    def __init__(self, parameters, lr, adapts, first_order=False):
        self.parameters, self.lr, self.adapts, self.first_order = dict(parameters), lr, adapts, first_order

    def clone(self):  # noqa: D102
        return MetaLearner(self.parameters, self.lr, self.adapts, self.first_order)

    def adapt(self, loss):  # noqa: D102
        at = {name: getval(value) if self.first_order else value for name, value in self.parameters.items()}
        self.parameters |= {name: self.parameters[name] - self.lr * grad(loss)(at)[name] for name in self.adapts}


def step(learner, B, w, targets, alpha, beta):
    """The adapter: a clone for each task, adapted, and one step on the mean of their losses."""

    def outer_loss(parameters):
        meta = MetaLearner(parameters, alpha, MOVING[learner.adapts], learner.first_order)
        total = 0.0
        for target in targets.T:
            task = meta.clone()
            task.adapt(loss := lambda p, target=target: 0.5 * ((p["B"] @ p["w"] - target) ** 2).sum())
            total = total + loss(task.parameters)
        return total / targets.shape[1]

    by = grad(outer_loss)({"B": B, "w": w})
    return B - beta * by["B"], w - beta * by["w"]
