"""Plain PyTorch: nn.Linear, F.mse_loss, autograd.grad in the inner step, an optimiser for the outer one.

pip install 'metarep[torch]'
"""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

loss_scale = 1  # F.mse_loss is the mean of squared errors, without ½
layout = "kd"  # the weight of nn.Linear(d, k) is (k, d)
DTYPE = torch.float64


def network(B, w):
    """The representation, and the head on top of it."""
    k, d = B.shape
    net = nn.Sequential(nn.Linear(d, k, bias=False, dtype=DTYPE), nn.Linear(k, 1, bias=False, dtype=DTYPE))
    net.load_state_dict({"0.weight": torch.from_numpy(B), "1.weight": torch.from_numpy(w[None])})
    return net


def step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta):
    """One outer step on n tasks' samples."""
    net, batch = network(B, w), [torch.from_numpy(part).to(DTYPE) for part in (X_in, y_in, X_out, y_out)]
    optimizer = torch.optim.SGD(net.parameters(), lr=beta)
    for x_in, t_in, x_out, t_out in zip(*batch, strict=True):
        params = dict(net.named_parameters())
        for _ in range(learner.inner_steps):
            moving = {key: p for key, p in params.items() if learner.adapts == "both" or key == "1.weight"}
            loss = F.mse_loss(functional_call(net, params, x_in).squeeze(-1), t_in)
            grads = torch.autograd.grad(loss, list(moving.values()), create_graph=not learner.first_order)
            params |= {key: p - alpha * g for (key, p), g in zip(moving.items(), grads, strict=True)}
        loss = F.mse_loss(functional_call(net, params, x_out).squeeze(-1), t_out)
        (loss / len(X_in)).backward()  # adds up to the gradient of the tasks' mean
    optimizer.step()
    return net[0].weight.detach().numpy(), net[1].weight.detach().numpy()[0]
