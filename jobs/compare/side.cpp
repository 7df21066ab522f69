#include "jobs/compare/side.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "jobs/forward/answer_file.hpp"
#include "jobs/forward/evaluated_model.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {
namespace {

class StoredModel : public Side {
 public:
  StoredModel(const SideOptions& options, const RankDegrees& degrees, Registry& registry)
      : options_(options), degrees_(degrees), registry_(registry), source_(open_model(options.path)) {}

  std::int64_t vocab() const override { return source_.model.get_int("vocab_size"); }
  std::optional<std::int64_t> layers() const override {
    if (source_.model.find("layers").is_null()) return std::nullopt;
    return source_.model.get_int("layers");
  }
  void check_answers(const Sequences&, const std::string&) const override {}

  Answers answer(const Sequences& sequences, Communicator& world) override {
    const auto device = choose_device(registry_, options_.device);
    const DType compute = choose_precision(*device, options_.precision);
    how_ = {{"device", device->name()}, {"precision", compute == DType::f32 ? "fp32" : "bf16"}};
    const auto mesh = make_mesh(world, degrees_, *device);
    EvaluatedModel model(source_, registry_, {device.get(), compute, mesh.get()}, sequences, Gradients::none);
    return model.answer(world);
  }

 private:
  SideOptions options_;
  RankDegrees degrees_;
  Registry& registry_;
  ModelSource source_;
};

class StoredAnswers : public Side {
 public:
  explicit StoredAnswers(const std::string& path) : file_(path) {}

  std::int64_t vocab() const override { return file_.vocab(); }
  void check_answers(const Sequences& sequences, const std::string& inputs) const override {
    file_.check_answers(sequences, inputs);
  }

  Answers answer(const Sequences& sequences, Communicator&) override {
    how_ = {{"tensor", file_.logits_name()}};
    if (!file_.has_loss())
      log_info(fmt::format("{} holds no loss: it is computed from {}", file_.path(), file_.logits_name()));
    return file_.read(sequences);
  }

 private:
  AnswerFile file_;
};

}  // namespace

bool is_answer_file(const std::string& path) {
  return path.ends_with(".safetensors") && !std::filesystem::is_directory(path);
}

std::unique_ptr<Side> open_stored_model(const SideOptions& options, const RankDegrees& degrees,
                                        Registry& registry) {
  return std::make_unique<StoredModel>(options, degrees, registry);
}

std::unique_ptr<Side> open_model_or_answers(const SideOptions& options, const RankDegrees& degrees,
                                            Registry& registry) {
  if (!is_answer_file(options.path)) return open_stored_model(options, degrees, registry);
  return std::make_unique<StoredAnswers>(options.path);
}

}  // namespace caravan::jobs
