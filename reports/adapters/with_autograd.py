"""autograd: the population's step, on the tasks' targets θ_i.

it comes with metarep
"""

import autograd.numpy as np
from autograd import grad


def loss(parameters, target):
    """½‖Bw − θ‖²."""
    B, w = parameters
    return 0.5 * np.sum((B @ w - target) ** 2)


def adapted(learner, B, w, target, alpha):
    """The parameters after one inner step of what the learner adapts."""
    grad_B, grad_w = grad(loss)((B, w), target)
    new_w = w - alpha * grad_w if learner.adapts in ("head", "both") else w
    return (B - alpha * grad_B if learner.adapts == "both" else B), new_w


def step(learner, B, w, targets, alpha, beta):
    """One outer step."""
    tasks = targets.T
    if learner.first_order:  # the gradient at the adapted parameters
        gradients = [grad(loss)(adapted(learner, B, w, task, alpha), task) for task in tasks]
        grad_B, grad_w = (sum(parts) / len(tasks) for parts in zip(*gradients, strict=True))
    else:  # through the inner step

        def outer_loss(p):
            return sum(loss(adapted(learner, p[0], p[1], task, alpha), task) for task in tasks) / len(tasks)

        grad_B, grad_w = grad(outer_loss)((B, w))
    return B - beta * grad_B, w - beta * grad_w
