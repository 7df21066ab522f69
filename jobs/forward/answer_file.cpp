#include "jobs/forward/answer_file.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/safetensors/writer.hpp"
#include "jobs/forward/cross_entropy.hpp"

namespace caravan::jobs {
namespace {

// "layers.3" of a model is "router.3" of a file.
constexpr std::string_view kLayer = "layers.", kRouter = "router.";

std::string logits_of(const io::SafetensorsFile& file) {
  for (const char* name : {"logits_f64", "logits"})
    if (file.has(name)) return name;
  throw IoError(
      fmt::format("{} holds no logits (answers are logits [B, T, V], as `caravan forward` writes "
                  "them). Is it a file of weights?",
                  file.path()));
}

}  // namespace

void write_answers(const std::string& path, const Sequences& sequences, Answers& answers,
                   std::int64_t vocab) {
  io::SafetensorsWriter writer(path);
  writer.add("logits",
             TensorView(answers.logits.data(), DType::f32, {sequences.count, sequences.length, vocab}));
  auto loss = static_cast<float>(answers.loss);
  writer.add("loss", TensorView(&loss, DType::f32, {1}));
  for (Answers::Router& router : answers.routers) {
    const std::string number = router.layer.substr(router.layer.rfind('.') + 1);
    writer.add(
        std::string(kRouter) + number,
        TensorView(router.scores.data(), DType::f32, {sequences.count * sequences.length, router.experts}));
  }
  writer.commit();
}

AnswerFile::AnswerFile(const std::string& path)
    : file_(path), logits_(logits_of(file_)), shape_(file_.info(logits_).shape()) {
  CARAVAN_CHECK(shape_.rank() == 3 && shape_.count() > 0, IoError,
                fmt::format("{}: {} has {} axes (it must be [sequences, length, vocabulary], none 0)", path,
                            logits_, shape_.rank()));
}

void AnswerFile::check_answers(const Sequences& sequences, const std::string& inputs) const {
  CARAVAN_CHECK(
      shape_[0] == sequences.count && shape_[1] == sequences.length, IoError,
      fmt::format("{} has {} of {} sequences of {} tokens, and {} has {} of {} tokens (they are "
                  "answers to other inputs). Which inputs belong to it?",
                  path(), logits_, shape_[0], shape_[1], inputs, sequences.count, sequences.length));
  if (file_.has("input_ids")) check_same_inputs(file_, io::SafetensorsFile(inputs));
}

Answers AnswerFile::read(const Sequences& sequences) const {
  Answers answers;
  answers.logits = file_.read_as_f32(logits_);
  for (const std::string& name : file_.names())
    if (name.starts_with(kRouter))
      answers.routers.push_back(router(name, sequences.count * sequences.length));
  answers.loss = mean_cross_entropy(answers.logits, sequences.labels, vocab());
  if (!has_loss()) return answers;
  const std::vector<float> loss = file_.read_as_f32("loss");
  CARAVAN_CHECK(loss.size() == 1, IoError,
                fmt::format("{}: loss has {} values (it must be one, the mean)", path(), loss.size()));
  answers.loss = loss[0];
  return answers;
}

Answers::Router AnswerFile::router(const std::string& name, std::int64_t tokens) const {
  const Shape shape = file_.info(name).shape();
  CARAVAN_CHECK(shape.rank() == 2 && shape[0] == tokens, IoError,
                fmt::format("{}: {} has {} axes and {} elements (it must be [{}, experts]: a row for each "
                            "token)",
                            path(), name, shape.rank(), shape.count(), tokens));
  return {std::string(kLayer) + name.substr(kRouter.size()), shape[1], file_.read_as_f32(name)};
}

}  // namespace caravan::jobs
