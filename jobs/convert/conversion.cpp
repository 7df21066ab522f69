#include "jobs/convert/conversion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"
#include "io/checkpoint/space.hpp"
#include "io/convert/shards.hpp"
#include "jobs/convert/hf_folder.hpp"
#include "jobs/convert/meta_folder.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// The state that the source has; what it lacks starts at zero.
void add_state(const ModelToConvert& model, const std::vector<io::NamedShape>& states,
               const std::string& root, std::vector<io::MadeTensor>& tensors) {
  for (const io::NamedShape& state : states) {
    io::MadeTensor made = io::MadeTensor::copy(root + state.name, state, DType::f32);
    if (!model.source.weights->has(state.name)) made.parts.clear();
    tensors.push_back(std::move(made));
  }
}

/// A checkpoint that holds what its job does not declare is refused where it is read.
void check_declared(const ModelToConvert& model) {
  const auto spare = names_in_use(*model.source.weights, model.state.spare);
  CARAVAN_CHECK(spare.empty(), IoError,
                fmt::format("{} holds {}, and the model declares no biases of experts (load_balance_rate is "
                            "0). --config with a job that sets it?",
                            model.source.weights->description(), io::first_few(spare)));
}

void plan_checkpoint(const ModelToConvert& model, const ConvertOptions& options, Conversion& conversion) {
  check_declared(model);
  conversion.checkpoint = io::our_tensors(*model.source.weights, model.selection, "/model/", "/other/");
  if (options.stacks_layers) conversion.checkpoint = io::stacked(conversion.checkpoint);
  add_state(model, model.state.declared, "/state/", conversion.checkpoint);
  conversion.head = model.head;
  conversion.copied = model.files;
}

/// One file cannot hold a tokenizer, and says nothing of the model.
void plan_safetensors(const ModelToConvert& model, const std::string& name, Conversion& conversion) {
  auto tensors = io::our_tensors(*model.source.weights, model.selection, "", "");
  add_state(model, model.state.declared, "", tensors);
  add_state(model, model.state.spare, "", tensors);
  conversion.files.push_back(io::safetensors_file(name, std::move(tensors)));
}

std::uint64_t bytes_of_checkpoint(const std::vector<io::MadeTensor>& tensors) {
  std::vector<io::Piece> pieces;
  for (const io::MadeTensor& tensor : tensors)
    pieces.push_back(io::Piece::whole({tensor.name, tensor.dtype, tensor.stored}));
  return pieces.empty() ? 0 : io::space_for(pieces);
}

void note_wide_numbers(const ModelToConvert& model, Conversion& conversion) {
  const auto is_wide = [&](const io::NamedShape& weight) {
    return model.source.weights->dtype(weight.name) == DType::f64;
  };
  const auto& weights = model.selection.weights;
  const auto wide = std::find_if(weights.begin(), weights.end(), is_wide);
  if (wide != weights.end() && !model.selection.dtype)
    conversion.notes.push_back(
        fmt::format("{} is stored as f64 and written as fp32, as any other that is", wide->name));
}

void note_optimizer(const ModelToConvert& model, Conversion& conversion) {
  if (model.has_optimizer)
    conversion.notes.push_back("the optimizer's state stays where it is: weights alone are converted");
}

/// What the source's files hold beside weights and what goes along with them.
void note_left_out(const ModelToConvert& model, Conversion& conversion) {
  const auto along = model.source.weights->companions();
  std::vector<std::string> left = model.source.weights->skipped();
  std::erase_if(left, [&](const std::string& name) {
    return std::find(along.begin(), along.end(), name) != along.end();
  });
  if (!left.empty())
    conversion.notes.push_back(
        fmt::format("{} holds {} too: left out (computed, counted in training, there twice, or not mapped)",
                    model.source.weights->description(), io::first_few(left)));
}

}  // namespace

std::vector<const io::MadeTensor*> Conversion::tensors() const {
  std::vector<const io::MadeTensor*> all;
  for (const io::FlatFile& file : files)
    for (const io::FlatFile::Placed& placed : file.tensors) all.push_back(&placed.tensor);
  for (const io::MadeTensor& tensor : checkpoint) all.push_back(&tensor);
  return all;
}

std::uint64_t Conversion::bytes() const {
  std::uint64_t bytes = bytes_of_checkpoint(checkpoint);
  for (const io::FlatFile& file : files) bytes += file.bytes;
  for (const auto& [name, text] : texts) bytes += text.size();
  for (const fs::path& file : copied) bytes += fs::file_size(file);
  return bytes;
}

void note_lost_state(const ModelToConvert& model, const std::string& format, Conversion& conversion) {
  std::vector<std::string> lost = names_in_use(*model.source.weights, model.state.declared);
  for (std::string& name : names_in_use(*model.source.weights, model.state.spare))
    lost.push_back(std::move(name));
  if (!lost.empty())
    conversion.notes.push_back(
        fmt::format("{} has no place for {}: left out, so that tokens may choose other experts", format,
                    io::first_few(lost)));
}

Conversion plan_conversion(const ModelToConvert& model, const ConvertOptions& options) {
  Conversion conversion;
  note_wide_numbers(model, conversion);
  note_optimizer(model, conversion);
  note_left_out(model, conversion);
  switch (options.to) {
    case ModelFormat::hdf5:
      plan_checkpoint(model, options, conversion);
      break;
    case ModelFormat::safetensors:
      plan_safetensors(model, fs::path(options.destination).filename().string(), conversion);
      break;
    case ModelFormat::meta:
      plan_meta_folder(model, options, conversion);
      break;
    case ModelFormat::hf:
      plan_hf_folder(model, options, conversion);
      break;
  }
  return conversion;
}

}  // namespace caravan::jobs
