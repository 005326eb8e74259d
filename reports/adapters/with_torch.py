"""All five learners by PyTorch (extra ``torch``): ``metarep check metarep.reports.adapters.with_torch``."""

import torch  # pyright: ignore[reportMissingImports]

DTYPE = torch.float64


def loss(B, w, target):
    """½‖Bw − θ‖²."""
    return 0.5 * ((B @ w - target) ** 2).sum()


def adapted(learner, B, w, target, alpha):
    """The parameters after one inner step; differentiable unless the learner is first-order."""
    if learner.adapts == "nothing":
        return B, w
    moving = (w,) if learner.adapts == "head" else (B, w)
    grads = torch.autograd.grad(loss(B, w, target), moving, create_graph=not learner.first_order)
    new_w = w - alpha * grads[-1]
    return (B, new_w) if learner.adapts == "head" else (B - alpha * grads[0], new_w)


def step(learner, B, w, targets, alpha, beta):
    """One outer step. First-order gradients pass through the inner step as if it were the identity plus a constant."""
    B, w = (torch.tensor(x, dtype=DTYPE, requires_grad=True) for x in (B, w))
    targets = torch.tensor(targets, dtype=DTYPE)
    losses = [loss(*adapted(learner, B, w, target, alpha), target) for target in targets.T]
    grad_B, grad_w = torch.autograd.grad(torch.stack(losses).mean(), (B, w))
    return (B - beta * grad_B).detach().numpy(), (w - beta * grad_w).detach().numpy()
