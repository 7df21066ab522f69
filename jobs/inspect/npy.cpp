#include "jobs/inspect/npy.hpp"

#include <fmt/format.h>

#include <span>

#include "io/files/convert.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/inspect/value_stream.hpp"

namespace caravan::jobs {
namespace {

const char* npy_name(DType type) {
  switch (type) {
    case DType::f64:
      return "<f8";
    case DType::f16:
      return "<f2";
    case DType::i32:
      return "<i4";
    case DType::i64:
      return "<i8";
    case DType::u8:
      return "|u1";
    default:
      return "<f4";
  }
}

/// "(4, 8)", "(4,)", "()"
std::string tuple_text(const std::vector<std::uint64_t>& extents) {
  const std::string inside = shape_text(extents);
  return fmt::format("({}{})", inside.substr(1, inside.size() - 2), extents.size() == 1 ? "," : "");
}

std::span<const std::byte> bytes_of(const TensorView& view) {
  return {view.as<const std::byte>(), view.bytes()};
}

}  // namespace

DType npy_type_of(DType stored) {
  return stored == DType::bf16 ? DType::f32 : stored;
}

std::string npy_header(DType type, const std::vector<std::uint64_t>& extents) {
  constexpr std::size_t kAlignment = 64, kFixed = 10;  // magic, version, length
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", npy_name(type),
                                 tuple_text(extents));
  text.append((kAlignment - (kFixed + text.size() + 1) % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xFF);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

void write_npy(const TensorSource& source, const TensorPart& part, const std::string& path) {
  const DType stored = part.tensor->dtype.value(), type = npy_type_of(stored);
  io::PendingFile file(path);
  const std::string header = npy_header(type, part.shown);
  file.write(std::as_bytes(std::span(header)));
  std::vector<float> widened;
  ValueStream(source).for_each_stored(*part.tensor, part.box, [&](const TensorView& block, std::uint64_t) {
    if (type == stored) return file.write(bytes_of(block));
    widened.resize(static_cast<std::size_t>(block.count()));
    const TensorView row(block.data, stored, {block.count()}),
        wide(widened.data(), DType::f32, {block.count()});
    io::copy_to_f32(row, wide);
    file.write(bytes_of(wide));
  });
  file.commit();
}

Report export_view(const Subject& subject, const InspectOptions& options) {
  const TensorPart part = parse_part(options.tensor, subject.tensors());
  write_npy(*subject.source, part, options.file);
  const DType type = npy_type_of(*part.tensor->dtype);
  Report report;
  report.text = fmt::format("{}: {} {}{}\n", options.file, name_of(type), shape_text(part.shown),
                            type == *part.tensor->dtype ? "" : " (bf16 widened: numpy has no bf16)");
  report.json = {{"path", subject.path}, {"tensor", part.tensor->name}, {"stored", part.tensor->type},
                 {"file", options.file}, {"dtype", name_of(type)},      {"shape", part.shown}};
  return report;
}

}  // namespace caravan::jobs
