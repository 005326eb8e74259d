"""torch.func: grad of a functional_call inside, vmap over the tasks, grad outside.

pip install 'metarep[torch]'
"""

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

loss_scale = 1  # F.mse_loss is the mean of squared errors, without ½
layout = "kd"  # the weight of nn.Linear(d, k) is (k, d)
DTYPE = torch.float64


def step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta):
    """One outer step on n tasks' samples."""
    k, d = B.shape
    net = nn.Sequential(nn.Linear(d, k, bias=False, device="meta"), nn.Linear(k, 1, bias=False, device="meta"))

    def loss(moving, fixed, x, y):
        return F.mse_loss(functional_call(net, moving | fixed, x).squeeze(-1), y)

    def loss_after_adaptation(params, x_in, t_in, x_out, t_out):
        fixed = {"0.weight": params["0.weight"]} if learner.adapts == "head" else {}
        moving = {key: p for key, p in params.items() if key not in fixed}
        for _ in range(learner.inner_steps):
            grads = grad(loss)(moving, fixed, x_in, t_in)
            grads = {key: g.detach() if learner.first_order else g for key, g in grads.items()}
            moving = {key: p - alpha * grads[key] for key, p in moving.items()}
        return loss(moving, fixed, x_out, t_out)

    def outer_loss(params, *batch):
        return vmap(loss_after_adaptation, in_dims=(None, 0, 0, 0, 0))(params, *batch).mean()

    B, w, *batch = (torch.from_numpy(part).to(DTYPE) for part in (B, w[None], X_in, y_in, X_out, y_out))
    grads = grad(outer_loss)({"0.weight": B, "1.weight": w}, *batch)
    return (B - beta * grads["0.weight"]).numpy(), (w - beta * grads["1.weight"]).numpy()[0]
