#include "jobs/inspect/npy.hpp"

#include <fmt/format.h>

#include <span>
#include <string>

#include "io/files/convert.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/inspect/value_stream.hpp"

namespace caravan::jobs {
namespace {

/// "<f4": order of bytes, kind, bytes; not of bf16, which numpy does not have.
std::string npy_name(io::NumberType element) {
  return fmt::format("{}{}{}", size_of(element) == 1 ? '|' : '<', name_of(element).front(), size_of(element));
}

/// "(4, 8)", "(4,)", "()"
std::string tuple_text(const std::vector<std::uint64_t>& extents) {
  const std::string inside = shape_text(extents);
  return fmt::format("({}{})", inside.substr(1, inside.size() - 2), extents.size() == 1 ? "," : "");
}

/// bf16 as the floats that they are.
std::vector<float> widened(const Block& block) {
  std::vector<float> values(static_cast<std::size_t>(block.count()));
  const TensorView row(block.data, DType::bf16, {block.count()}),
      wide(values.data(), DType::f32, {block.count()});
  io::copy_to_f32(row, wide);
  return values;
}

}  // namespace

io::NumberType npy_element_of(io::NumberType stored) {
  return stored == io::NumberType::bf16 ? io::NumberType::f32 : stored;
}

std::string npy_header(io::NumberType element, const std::vector<std::uint64_t>& extents) {
  constexpr std::size_t kAlignment = 64, kFixed = 10;  // magic, version, length
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}",
                                 npy_name(element), tuple_text(extents));
  text.append((kAlignment - (kFixed + text.size() + 1) % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xFF);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

void write_npy(const TensorSource& source, const Selection& selection, const std::string& path) {
  const io::NumberType stored = selection.tensor->element.value(), element = npy_element_of(stored);
  io::PendingFile file(path);
  const std::string header = npy_header(element, selection.shown);
  file.write(std::as_bytes(std::span(header)));
  ValueStream(source).for_each_stored(*selection.tensor, selection.box,
                                      [&](const Block& block, std::uint64_t) {
                                        if (element == stored) return file.write({block.data, block.bytes()});
                                        const std::vector<float> values = widened(block);
                                        file.write(std::as_bytes(std::span(values)));
                                      });
  file.commit();
}

Report export_view(const Subject& subject, const InspectOptions& options) {
  const Selection selection = parse_selection(options.tensor, subject.tensors());
  write_npy(*subject.source, selection, options.file);
  const io::NumberType element = npy_element_of(*selection.tensor->element);
  Report report;
  report.text =
      fmt::format("{}: {} {}{}\n", options.file, name_of(element), shape_text(selection.shown),
                  element == *selection.tensor->element ? "" : " (bf16 widened: numpy has no bf16)");
  report.json = {
      {"path", subject.path}, {"tensor", selection.tensor->name}, {"stored", selection.tensor->type},
      {"file", options.file}, {"dtype", name_of(element)},        {"shape", selection.shown}};
  return report;
}

}  // namespace caravan::jobs
