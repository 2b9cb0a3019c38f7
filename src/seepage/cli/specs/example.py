"""What `seepage init` writes."""

EXAMPLE = """\
# An audit by Seepage. Run it with: seepage audit audit.yaml
# Every key can be left out but where the records come from.

# 1. A pool and a recipe: target and references are trained for you.
data:
  name: digits              # or file: records.npz (arrays 'inputs' and 'labels'), .csv, .parquet
  # options: {label: income}
  # limit: 2000             # use this many records, drawn at random
recipe:
  architecture: mlp         # mlp, cnn, resnet18, wideresnet, densenet-bc
  options: {hidden: [128]}
  optimiser: {name: adam, options: {lr: 0.002}}
  epochs: 100
  batch_size: 64
references: 64
# every_model: true         # each reference takes its turn as the target: an audit of the recipe
# canaries: {kind: mislabelled, n: 500}   # plant canaries and judge them alone, every model in its turn

# 2. Or a trained model and two sets of records (instead of data and recipe).
# model: {file: model.safetensors, architecture: mlp, options: {hidden: [128]}}
# members: train.npz
# nonmembers: test.npz      # .csv and .parquet work too; then
# options: {label: income}  # name the column of the labels
# origin: declared          # if the members were chosen at random; otherwise leave it out

# 3. Or outputs alone.
# outputs: probs.npz        # 'probs' or 'logits' (samples, models, classes), 'labels', 'membership'

# attacks: [loss, lira-online, rmia-online]
# access: probabilities     # what the attacker may ask; default: logits where the model gives them
# known: 60                 # records whose membership the attacker knows, for few-shot attacks
# queries: flip             # none, flip, flip-shift, rotate, translate: augmented copies of images
alpha: 0.05                 # chance of a false alarm over all attacks together
delta: 1.0e-5
prior: 0.5                  # share of members among the records an attacker asks about
show_records: 20
show_values: false          # records' values stay out of the report
seed: 0
out: audit
"""
