"""TorchOpt: MetaOptimizer for the inner steps, network and optimiser recovered after each task.

pip install 'metarep[torchopt]'
"""

import torch
import torchopt
from torch import nn
from torch.nn import functional as F

loss_scale = 1  # F.mse_loss is the mean of squared errors, without ½
layout = "kd"  # the weight of nn.Linear(d, k) is (k, d)
DTYPE = torch.float64
DETACH = torchopt.base.GradientTransformation(
    lambda params: (), lambda grads, state, **_: (tuple(g.detach() for g in grads), state)
)


def step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta):
    """One outer step on n tasks' samples."""
    k, d = B.shape
    net = nn.Sequential(nn.Linear(d, k, bias=False, dtype=DTYPE), nn.Linear(k, 1, bias=False, dtype=DTYPE))
    net.load_state_dict({"0.weight": torch.from_numpy(B), "1.weight": torch.from_numpy(w[None])})
    batch = [torch.from_numpy(part).to(DTYPE) for part in (X_in, y_in, X_out, y_out)]
    sgd = torchopt.sgd(lr=alpha)
    adapted = net[1] if learner.adapts == "head" else net
    inner_opt = torchopt.MetaOptimizer(adapted, torchopt.chain(DETACH, sgd) if learner.first_order else sgd)
    outer_opt, losses = torch.optim.SGD(net.parameters(), lr=beta), []
    begun = [(each, torchopt.extract_state_dict(each, by="reference")) for each in (net, inner_opt)]
    for x_in, t_in, x_out, t_out in zip(*batch, strict=True):
        for _ in range(learner.inner_steps):
            inner_opt.step(F.mse_loss(net(x_in).squeeze(-1), t_in))
        losses.append(F.mse_loss(net(x_out).squeeze(-1), t_out))
        for each, state in begun:
            torchopt.recover_state_dict(each, state)
    torch.stack(losses).mean().backward()
    outer_opt.step()
    return net[0].weight.detach().numpy(), net[1].weight.detach().numpy()[0]
