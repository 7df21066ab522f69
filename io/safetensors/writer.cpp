#include "io/safetensors/writer.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "io/files/pack.hpp"
#include "io/files/pending_file.hpp"
#include "io/safetensors/header.hpp"

namespace caravan::io {

void SafetensorsWriter::add(const std::string& name, const TensorView& view) {
  add(name, view.dtype, view.shape, nullptr);
  entries_.back().view = view;
}

void SafetensorsWriter::add(const std::string& name, DType dtype, const Shape& shape, Fill fill) {
  check_tensor_name(name, path_);
  const bool taken =
      std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.tensor.name == name; });
  CARAVAN_CHECK(!taken, IoError, fmt::format("{}: tensor '{}' was added twice", path_, name));
  entries_.push_back({{name, dtype, shape}, {}, std::move(fill)});
}

void SafetensorsWriter::commit() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return comes_before(a.tensor, b.tensor); });
  std::vector<SafetensorsEntry> tensors;
  for (const Entry& entry : entries_) tensors.push_back(entry.tensor);
  const SafetensorsLayout layout = lay_out(tensors, metadata_, path_);
  PendingFile file(path_);
  file.reserve(layout.bytes);
  file.write(std::as_bytes(std::span(layout.front)));
  std::vector<std::byte> filled;
  for (const Entry& entry : entries_) {
    TensorView view = entry.view;
    if (entry.fill) {
      filled.resize(entry.tensor.bytes());
      view = TensorView(filled.data(), entry.tensor.dtype, entry.tensor.shape);
      entry.fill(view);
    }
    for_each_packed(view, [&](std::span<const std::byte> piece) { file.write(piece); });
  }
  file.commit();
}

}  // namespace caravan::io
