#pragma once

#include "caravan/abi.h"

// Every key of a job file outside the sections of components. The reference page and --help are printed from
// these tables.
namespace caravan::jobs {

inline constexpr caravan_param kJobParams[] = {
    {"name", "string", "run", "", "", "Name of the run; the default of `output` is runs/<name>."},
    {"output", "path", "null", "", "", "Folder for checkpoints, metrics and the resolved job."},
    {"device", "string", "auto", "", "", "auto, cuda, host or reference."},
    {"device_options", "map", "null", "", "",
     "Keys of a named device (caravan plugins describe device/cuda), e.g. {deterministic: true}."},
    {"seed", "int", "1", "", ">= 0", "Of initial weights, data order, dropout and noise."},
    {"model", "map", nullptr, "", "",
     "preset and keys of the model plugin (caravan plugins describe model/llama4)."},
    {"data", "map", nullptr, "", "",
     "source and keys of the data source (caravan plugins describe data/tokens)."},
    {"train", "map", nullptr, "", "", "Steps, batch sizes, learning rate."},
    {"optimizer", "map", "null", "", "",
     "name, groups, and keys of the optimizer (caravan plugins describe optimizer/adamw)."},
    {"validation", "map", "null", "", "", "How often and on what the loss is measured without training."},
    {"checkpoint", "map", "null", "", "", "When to save, what to keep, where to start from."},
    {"parallel", "map", "null", "", "", "How the ranks divide the work."},
    {"metrics", "map", "null", "", "", "What records the run; a list of sinks is short for {sinks: [...]}."},
    {"watchdog", "map", "null", "", "", "When a run that stands still is ended."},
};

inline constexpr caravan_param kTrainParams[] = {
    {"steps", "int", nullptr, "steps", "[1, 1e12]", "Optimizer steps of the whole run."},
    {"sequence_length", "int", "2048", "tokens", "[1, 16777216]", "Tokens of a sequence."},
    {"local_batch_size", "int", "1", "sequences", "[1, 1048576]", "Sequences of a micro-batch on one rank."},
    {"global_batch_size", "int", "-1", "sequences", "[-1, 1073741824]",
     "Sequences of an optimizer step; -1: one micro-batch a rank."},
    {"max_norm", "float", "1", "", ">= 0", "Gradients are clipped to this global norm; 0: not clipped."},
    {"lr", "float", "8e-4", "", "> 0", "Peak learning rate."},
    {"warmup_steps", "int", "200", "steps", "[0, 1e12]", "Linear warm-up from 0."},
    {"schedule_steps", "int or frozen", "null", "steps", "[1, 1e12]",
     "Length of the learning-rate schedule; null: steps; frozen: that of the run which this one continues, "
     "steps "
     "where it continues none."},
    {"decay_ratio", "float", "null", "", "[0, 1]",
     "Share of the schedule that decays at its end; null: all after warm-up."},
    {"decay", "linear|sqrt|cosine", "linear", "", "", "Shape of the decay."},
    {"min_lr_factor", "float", "0", "", "[0, 1]", "Where the decay ends, as a share of lr."},
    {"recompute", "none|selective|full|stage or map", "none", "", "",
     "What backward makes again instead of keeping it: nothing; what is cheap; all but the input of each "
     "layer; "
     "all but the input of each pipeline stage. Or {every: 2}, {selective: [attention]}, {budget: 0.5}."},
    {"precision", "auto|fp32|bf16", "auto", "", "",
     "What activations and the weights that operators read are; masters, gradients of weights and the "
     "optimizer's "
     "state are fp32 always. auto: what the device computes in."},
    {"log_every", "int", "10", "steps", ">= 1",
     "Steps between step lines; the first and last are always printed."},
};

/// Of a map in the list optimizer.groups. The first whose globs fit a parameter counts.
inline constexpr caravan_param kOptimizerGroupParams[] = {
    {"parameters", "string list", nullptr, "", "",
     "Globs over names as caravan inspect shows them, e.g. layers.*.attention.*; a single one needs no "
     "list."},
    {"lr_factor", "float", "1", "", ">= 0", "Times the learning rate."},
    {"weight_decay", "float", "null", "", ">= 0", "Instead of the optimizer's; null: the optimizer's."},
    {"frozen", "bool", "false", "", "",
     "They stay as they are: no gradient is made, and nothing is kept to update them."},
};

/// Of a map in checkpoint.from.
inline constexpr caravan_param kForkParams[] = {
    {"run", "path", nullptr, "", "", "The other run's folder, or one of its checkpoints."},
    {"step", "int", "null", "step", ">= 0", "Which of its checkpoints; null: the newest that verifies."},
    {"what", "all|model", "all", "", "",
     "all: weights, the optimizer's state, step and place in the data, checked as when a run goes on; model: "
     "weights alone, and everything else begins anew."},
};

/// Of a map in checkpoint.export.
inline constexpr caravan_param kExportParams[] = {
    {"format", "hf|meta|safetensors", "hf", "", "",
     "A Hugging Face folder, one of Meta's, or a file with torchtitan's names; to be given."},
    {"dtype", "fp32|bf16|fp16", "bf16", "", "", "Of the weights; to be given."},
};

/// Of a map in train.recompute: one of them.
inline constexpr caravan_param kRecomputeParams[] = {
    {"every", "int", "null", "layers", ">= 1", "Keep the input of every so many layers alone."},
    {"selective", "string list", "null", "", "",
     "Parts of the layers' forwards that are kept; the others are repeated."},
    {"budget", "float", "null", "", "> 0",
     "The most that activations may take: up to 1 a share of what they take with `none`, above it bytes. "
     "What "
     "saves most time for its memory is kept."},
};

inline constexpr caravan_param kValidationParams[] = {
    {"every", "int", "0", "steps", ">= 0",
     "Steps between validations; 0: only at the end when `batches` is given."},
    {"batches", "int", "-1", "micro-batches", "[-1, 1e9]",
     "Micro-batches of all ranks together, at most one pass of the split; -1: one pass when `every` is "
     "given; "
     "0: no validation."},
    {"data", "map", "null", "", "", "Keys that differ from the data section; split defaults to validation."},
    {"samples", "map", "null", "", "",
     "Texts that the model in training writes, by these keys; a list of prompts is short for {prompts: "
     "[...]}."},
};

/// Of a map in validation.samples.
inline constexpr caravan_param kSampleParams[] = {
    {"prompts", "string list", nullptr, "", "", "Texts that are continued; a single one needs no list."},
    {"max_new_tokens", "int", "64", "tokens", "[1, 16777215]",
     "How many tokens to make at most; with the prompt they fit train.sequence_length."},
    {"temperature", "float", "0", "", "[0, 100]", "Flatter above 1, sharper below; 0: the likeliest token."},
    {"every", "int", "null", "steps", ">= 1",
     "Steps between texts, the last step besides; null: with each validation."},
};

inline constexpr caravan_param kCheckpointParams[] = {
    {"enabled", "bool", "true", "", "", "Save checkpoints at all; false with resume: load only."},
    {"every", "int", "500", "steps", ">= 1", "Steps between checkpoints; the last step is always saved."},
    {"keep_latest", "int", "10", "", ">= 0", "Complete checkpoints that stay; 0: all."},
    {"keep_every", "int", "0", "steps", ">= 0",
     "Checkpoints of steps that this divides stay as well; 0: none."},
    {"async", "bool", "true", "", "",
     "Copy the state and write it while training goes on, which takes as much memory again; false: wait for "
     "the "
     "disk."},
    {"files", "shards|one", "shards", "", "",
     "Every rank writes a file of its own, and checkpoint.h5 shows their tensors whole; or all write one "
     "file, "
     "easier to move, which the file system must let them share."},
    {"create_seed", "bool", "false", "", "",
     "Write the initial weights as the checkpoint of step 0 and end; any layout starts from it."},
    {"exclude_from_loading", "string list", "null", "", "",
     "Globs over names in checkpoints, e.g. [/optimizer/*, /state/next_sample]: what starts anew when "
     "resuming."},
    {"export", "none|fp32|bf16 or map", "none", "", "",
     "After the last step also write the weights alone under <output>/export: a checkpoint, in this type. "
     "Or, "
     "as caravan convert makes it of the last checkpoint, {format: hf, dtype: bf16}."},
    {"initial_load", "path", "null", "", "",
     "Weights to start from: a safetensors file, a Hugging Face folder, a checkpoint."},
    {"from", "string or map", "null", "", "",
     "Another run to branch off, into `output`: its folder, or {run: runs/a, step: 400, what: model}. "
     "Without "
     "effect once `output` has a checkpoint of its own."},
    {"resume", "bool", "true", "", "", "Continue from the newest complete checkpoint of `output`."},
    {"allow_changes", "string list", "null", "", "",
     "Globs over keys of the resolved job, e.g. [data.path, seed]: what may differ from the checkpoint that "
     "the run "
     "goes on from, although it changes the function or the order of samples."},
    {"on_failure", "continue|stop", "continue", "", "",
     "What a checkpoint that cannot be written does to the run; the last one always ends it with exit code "
     "3."},
};

inline constexpr caravan_param kParallelParams[] = {
    {"data_replicate", "int", "-1", "ranks", "[-1, 1048576]",
     "Copies of the model that see different samples; -1: all ranks that are left, or 1 where data_shard "
     "takes "
     "them."},
    {"data_shard", "int", "1", "ranks", "[-1, 1048576]",
     "Ranks that divide one copy: each keeps a part of weights, gradients and optimizer state, and sees "
     "samples "
     "of its own; -1: all that are left."},
    {"reshard", "auto|always|never", "auto", "", "",
     "Whether layers take turns in the memory of gathered weights, and gather again for the backward: auto "
     "does "
     "where there is one pipeline stage, never holds them from their first use to the update."},
    {"prefetch", "int", "1", "groups", "[0, 3]",
     "Parameter groups that are gathered ahead of their use; 0: each when it is used."},
    {"divide_optimizer", "auto|true|false", "auto", "", "",
     "Whether the copies of data_replicate divide gradients and optimizer state among them: each updates a "
     "part of the "
     "weights, and all gather it. auto does where nothing else divides the weights."},
    {"pipeline", "int", "1", "ranks", "[1, 65536]", "Pipeline ranks."},
    {"context", "int", "1", "ranks", "[1, 1048576]", "Ranks among which a sequence is divided."},
    {"rotate", "gather|ring", "gather", "", "",
     "How keys of other context ranks come: all at once, kept for the backward, or rank by rank, again for "
     "the backward."},
    {"tensor", "int", "1", "ranks", "[1, 1048576]", "Ranks among which matrices are divided."},
    {"expert", "int", "1", "ranks", "[1, 65536]",
     "Ranks among which the experts of a layer are divided: they are taken from those of data_shard (and "
     "context and "
     "tensor), and tokens travel to them."},
    {"expert_tensor", "1|tensor", "1", "", "",
     "Ranks among which the matrices of one expert are divided: none, or those of parallel.tensor."},
    {"async_tensor", "bool", "false", "", "",
     "Begin products with a tensor rank's own rows while those of the others are gathered."},
    {"schedule", "string", "1f1b", "", "",
     "Plugin that orders the actions of pipeline ranks (caravan plugins list)."},
    {"schedule_options", "map", "null", "", "",
     "Keys of the schedule (caravan plugins describe schedule/csv), such as {file: plan.csv}."},
    {"microbatches", "int", "-1", "", "[-1, 1048575]",
     "Micro-batches of a step on each data rank; -1: what train.global_batch_size gives."},
    {"stages_per_rank", "int", "-1", "", "[-1, 1048576]",
     "Pipeline stages on each rank; -1: what the schedule usually has."},
    {"first_stage_less", "int", "1", "layers", "[0, 1000]",
     "Layers that the first stage has less than others, for the embedding."},
    {"last_stage_less", "int", "1", "layers", "[0, 1000]",
     "Layers that the last stage has less, for the head."},
    {"layers_of_stages", "int list", "null", "layers", "[0, 1000]",
     "Layers of every stage, in place of the rule."},
};

inline constexpr caravan_param kMetricsParams[] = {
    {"sinks", "string or map list", "[jsonl, tensorboard]", "", "",
     "What records the run: names of components, or maps with name, every and their keys; the list alone may "
     "stand "
     "in place of this section."},
    {"jsonl", "bool", "null", "", "", "false takes jsonl from sinks, true adds it."},
    {"tensorboard", "bool", "null", "", "", "The same of tensorboard."},
    {"expert_counts", "bool", "false", "", "",
     "Add tokens per expert and expert bias of every layer to the records."},
    {"timeline_step", "int", "0", "step", ">= 0",
     "Step whose actions are timed on every rank and written as timeline-<step>.svg and .json; 0: none."},
};

/// Of a map in metrics.sinks, beside the component's own keys.
inline constexpr caravan_param kSinkParams[] = {
    {"name", "string", nullptr, "", "", "The component (caravan plugins list)."},
    {"every", "int", "1", "steps", ">= 1",
     "Steps between records; the first and last of a start and those with a validation loss besides."},
};

inline constexpr caravan_param kWatchdogParams[] = {
    {"timeout", "float", "1800", "s", "[0, 1e6]",
     "A rank that begins nothing new for so long (no action, layer, reduction or save) ends the job with "
     "exit "
     "code "
     "124 and says what each rank waits in; 0: never."},
    {"heartbeat", "bool", "true", "", "",
     "Replace heartbeat.json about once a second while the run advances: step, time, action."},
};

}  // namespace caravan::jobs
