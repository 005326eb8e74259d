"""learn2learn: MAML's clone() and adapt() for each task; for ANIL it wraps the head alone.

pip install 'metarep[learn2learn]', then learn2learn 0.2.0 itself from its sources, as metarep's README says
"""

import learn2learn as l2l
import torch
from torch import nn
from torch.nn import functional as F

loss_scale = 1  # F.mse_loss is the mean of squared errors, without ½
layout = "kd"  # the weight of nn.Linear(d, k) is (k, d)
DTYPE = torch.float64


def linear(weight):
    """A layer with this weight."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=DTYPE)
    layer.load_state_dict({"weight": torch.from_numpy(weight)})
    return layer


def step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta):
    """One outer step on n tasks' samples."""
    features, head = linear(B), linear(w[None])
    batch = [torch.from_numpy(part).to(DTYPE) for part in (X_in, y_in, X_out, y_out)]
    fixed, adapted = (features, head) if learner.adapts == "head" else (nn.Identity(), nn.Sequential(features, head))
    maml = l2l.algorithms.MAML(adapted, lr=alpha, first_order=learner.first_order)
    optimizer = torch.optim.SGD([*features.parameters(), *head.parameters()], lr=beta)
    for x_in, t_in, x_out, t_out in zip(*batch, strict=True):
        clone = maml.clone()
        for _ in range(learner.inner_steps):
            clone.adapt(F.mse_loss(clone(fixed(x_in)).squeeze(-1), t_in))
        error = F.mse_loss(clone(fixed(x_out)).squeeze(-1), t_out)
        (error / len(X_in)).backward()  # adds up to the gradient of the tasks' mean
    optimizer.step()
    return features.weight.detach().numpy(), head.weight.detach().numpy()[0]
