import torch

torch.manual_seed(0)
X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).repeat(8, 1)
Y = (X[:, :1] != X[:, 1:]).float()
net = torch.nn.Sequential(
    torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
)
opt = torch.optim.Adam(net.parameters(), lr=0.1)
for epoch in range(150):
    loss = torch.nn.functional.binary_cross_entropy_with_logits(net(X), Y)
    opt.zero_grad()
    loss.backward()
    opt.step()
