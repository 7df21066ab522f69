#include "jobs/convert/meta_folder.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/convert/meta_tensors.hpp"
#include "io/meta/meta_params.hpp"

namespace caravan::jobs {
namespace {

io::MetaHeads heads_of(const Config& model) {
  const std::int64_t heads = model.get_int("heads");
  const auto given = [&](const char* key, std::int64_t otherwise) {
    return model.find(key).is_null() ? otherwise : model.get_int(key);
  };
  return {heads, given("kv_heads", heads), given("head_dim", model.get_int("dim") / heads)};
}

}  // namespace

void plan_meta_folder(const ModelToConvert& model, const ConvertOptions& options, Conversion& conversion) {
  const auto& companions = model.selection.companions;
  CARAVAN_CHECK(companions.empty(), IoError,
                fmt::format("{} of {} has no place in Meta's format here (the part that sees is not mapped). "
                            "--to hf or hdf5?",
                            companions.front().name, model.source.weights->description()));
  const io::MetaWidths widths{width_of(model, ".feed_forward.w1.weight", 0),
                              width_of(model, ".moe.experts.w1", 1)};
  conversion.texts.emplace_back("params.json",
                                io::meta_params_text(model.source.model, widths, conversion.notes));
  const io::MetaHeads heads = heads_of(model.source.model);
  for (std::int64_t rank = 0; rank < options.model_parallel; ++rank) {
    auto tensors =
        io::meta_tensors(*model.source.weights, model.selection, heads, rank, options.model_parallel);
    conversion.archives.push_back(
        io::pth_archive(fmt::format("consolidated.{:02d}.pth", rank), std::move(tensors)));
    conversion.files.push_back(conversion.archives.back().file);
  }
  conversion.copied = model.files;
  note_lost_state(model, "Meta's format", conversion);
}

}  // namespace caravan::jobs
