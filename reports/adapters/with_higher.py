"""higher: innerloop_ctx for each task; first-order learners detach the inner gradients in grad_callback.

pip install 'metarep[higher]'
"""

import higher
import torch
from torch import nn
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
    inner_opt = torch.optim.SGD((net[1] if learner.adapts == "head" else net).parameters(), lr=alpha)
    meta_opt = torch.optim.SGD(net.parameters(), lr=beta)
    callback = (lambda grads: [g.detach() for g in grads]) if learner.first_order else None
    for x_spt, y_spt, x_qry, y_qry in zip(*batch, strict=True):
        with higher.innerloop_ctx(net, inner_opt, copy_initial_weights=False) as (fnet, diffopt):
            for _ in range(learner.inner_steps):
                diffopt.step(F.mse_loss(fnet(x_spt).squeeze(-1), y_spt), grad_callback=callback)
            qry_loss = F.mse_loss(fnet(x_qry).squeeze(-1), y_qry)
            (qry_loss / len(X_in)).backward()  # adds up to the gradient of the tasks' mean
    meta_opt.step()
    return net[0].weight.detach().numpy(), net[1].weight.detach().numpy()[0]
