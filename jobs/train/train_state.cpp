#include "jobs/train/train_state.hpp"

#include <fmt/format.h>

#include <set>

#include "caravan/check.hpp"
#include "caravan/fingerprint.h"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/checkpoint/writer.hpp"

namespace caravan::jobs {
namespace {

/// Calls visit(name, view) for every named part of `which(parameter)`.
template <class Which, class Visit>
void for_each_part(const ParameterStore& parameters, Which which, Visit visit) {
  for (const auto& parameter : parameters.parameters()) {
    const TensorView whole = which(*parameter);
    for (std::size_t index = 0; index < parameter->spec().parts.size(); ++index) {
      visit(parameter->spec().parts[index].name, parameter->part(whole, index));
    }
  }
}

/// Everything that a checkpoint holds, as (name in the file, view).
template <class Visit>
void for_each_tensor(const ParameterStore& parameters, const std::vector<std::string>& slots, Visit visit) {
  for_each_part(
      parameters, [](const Parameter& p) { return p.master; },
      [&](const std::string& name, TensorView view) { visit("/model/" + name, view); });
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    for_each_part(
        parameters, [&](const Parameter& p) { return p.slots[slot]; },
        [&](const std::string& name, TensorView view) {
          visit("/optimizer/" + slots[slot] + "/" + name, view);
        });
  }
  for (const auto& buffer : parameters.buffers()) {
    if (buffer->role == Buffer::Role::state) visit("/state/" + buffer->name, buffer->data);
  }
}

std::uint64_t total_bytes(const ParameterStore& parameters, const std::vector<std::string>& slots) {
  std::uint64_t bytes = 0;
  for_each_tensor(parameters, slots, [&](const std::string&, TensorView view) { bytes += view.bytes(); });
  return bytes;
}

/// Refuses a checkpoint of another model or optimizer: whatever is missing, has another shape, or would be
/// left behind unread.
void check_same_tensors(const io::CheckpointReader& reader, const ParameterStore& parameters,
                        const std::vector<std::string>& slots) {
  const auto refuse = [&](const std::string& problem) {
    throw IoError(fmt::format(
        "{} does not fit the job: {} (it holds another model or optimizer). Another output, or the job "
        "that caravan inspect --job prints?",
        reader.folder(), problem));
  };
  std::set<std::string> wanted;
  for_each_tensor(parameters, slots, [&](const std::string& name, TensorView view) {
    if (!reader.has(name)) refuse(name + " is missing in it");
    const Shape stored = reader.info(name).shape;
    if (stored != view.shape)
      refuse(fmt::format("{} is {} instead of {}", name, to_string(stored), to_string(view.shape)));
    wanted.insert(name);
  });
  for (const io::TensorRecord& tensor : reader.tensors()) {
    const bool unused = slots.empty() && tensor.name.starts_with("/optimizer/");
    if (!unused && !wanted.contains(tensor.name)) refuse(tensor.name + " is not in the job");
  }
}

std::int64_t integer(const io::CheckpointReader& reader, const std::string& name) {
  return std::get<std::int64_t>(reader.attribute(name));
}

}  // namespace

std::string save_state(const std::string& run, const Progress& progress, const ParameterStore& parameters,
                       const std::vector<std::string>& slot_names, const Provenance& provenance) {
  io::CheckpointInfo info{progress.tokens_seen, provenance.job_yaml, provenance.layout,
                          "caravan " CARAVAN_VERSION, total_bytes(parameters, slot_names)};
  io::CheckpointWriter writer(run + "/checkpoints", progress.step, info);
  for_each_tensor(parameters, slot_names,
                  [&](const std::string& name, TensorView view) { writer.tensor(name, view); });
  writer.attribute("/state/next_sample", progress.next_sample);
  return writer.commit();
}

Progress load_state(const io::CheckpointReader& reader, ParameterStore& parameters,
                    const std::vector<std::string>& slot_names) {
  check_same_tensors(reader, parameters, slot_names);
  for_each_tensor(parameters, slot_names,
                  [&](const std::string& name, TensorView view) { reader.read(name, view); });
  return {reader.step(), reader.tokens_seen(), integer(reader, "/state/next_sample")};
}

void load_weights(const io::CheckpointReader& reader, ParameterStore& parameters) {
  check_same_tensors(reader, parameters, {});
  for_each_tensor(parameters, {}, [&](const std::string& name, TensorView view) { reader.read(name, view); });
}

}  // namespace caravan::jobs
