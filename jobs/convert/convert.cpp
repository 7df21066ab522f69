#include "jobs/convert/convert.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/space.hpp"
#include "jobs/convert/conversion.hpp"
#include "jobs/convert/source.hpp"
#include "jobs/convert/source_files.hpp"
#include "jobs/convert/write.hpp"
#include "jobs/outputs.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

void check_destination(const ConvertOptions& options) {
  CARAVAN_CHECK(!options.destination.empty(), ConfigError,
                "DST is empty (a variable that is not set?). A name that is free?");
  std::error_code ignored;
  CARAVAN_CHECK(
      fs::symlink_status(options.destination, ignored).type() == fs::file_type::not_found, ConfigError,
      fmt::format("DST {} exists (nothing is replaced). Another name, or remove it?", options.destination));
  const bool is_file = options.to == ModelFormat::safetensors;
  CARAVAN_CHECK(options.destination.ends_with(".safetensors") == is_file, ConfigError,
                fmt::format("DST {} ({}). Another name?", options.destination,
                            is_file ? "--to safetensors writes one file, whose name must end in .safetensors"
                                    : "a folder is written, and only files end in .safetensors"));
  check_run_output(options.destination);
}

/// Where the destination will be made, as far as that is there.
void check_room(const ConvertOptions& options, std::uint64_t bytes) {
  fs::path folder = fs::absolute(options.destination).lexically_normal().parent_path();
  while (!fs::is_directory(folder) && folder.has_relative_path()) folder = folder.parent_path();
  io::check_space(folder.string(), bytes, "the conversion");
}

/// "107,769,861,120 elements: 215.54 GB as bf16"
std::string sizes_of(const Conversion& conversion) {
  std::map<DType, std::uint64_t> bytes;
  std::int64_t elements = 0;
  for (const io::MadeTensor* tensor : conversion.tensors()) {
    bytes[tensor->dtype] += tensor->bytes();
    elements += tensor->shape.count();
  }
  std::string text;
  for (const auto& [dtype, count] : bytes)
    text += fmt::format("{}{:.6f} GB as {}", text.empty() ? "" : ", ", static_cast<double>(count) / 1e9,
                        name_of(dtype));
  return fmt::format("{} elements: {}", with_commas(elements), text);
}

std::string description(const Conversion& conversion, const ConvertOptions& options, const char* verb) {
  const auto tensors = static_cast<std::int64_t>(conversion.tensors().size());
  std::string text = fmt::format("{} {} with {}, {}\n", verb, options.destination, counted(tensors, "tensor"),
                                 sizes_of(conversion));
  if (!options.is_dry_run) return text;
  for (const io::FlatFile& file : conversion.files)
    text += fmt::format("  {}: {} bytes, {}\n", file.name, with_commas(static_cast<std::int64_t>(file.bytes)),
                        counted(static_cast<std::int64_t>(file.tensors.size()), "tensor"));
  if (!conversion.checkpoint.empty()) text += "  checkpoint.h5\n  manifest.json\n";
  for (const auto& [name, content] : conversion.texts) text += fmt::format("  {}\n", name);
  for (const fs::path& file : conversion.copied)
    text += fmt::format("  {} (of {})\n", file.filename().string(), file.parent_path().string());
  return text +
         "The space is there. Not checked: whether every value fits its type, and the values themselves\n";
}

}  // namespace

void convert(const ConvertOptions& options, Communicator& world, std::function<void()> report) {
  check_destination(options);
  world.barrier();  // what one rank makes, another could take for what stood there
  write_converted(options, world, std::move(report));
}

void write_converted(const ConvertOptions& asked, Communicator& world, std::function<void()> report) {
  ConvertOptions options = asked;
  options.source = agreed_source(asked.source, world);
  const SourceFiles files(options.source);
  const ModelToConvert model = open_to_convert(options);
  Conversion conversion = plan_conversion(model, options);
  conversion.report = std::move(report);
  conversion.check_source = [&files] { files.check_unchanged(); };
  for (const std::string& note : conversion.notes) log_warning(note);
  if (options.is_dry_run && world.rank() == 0) check_room(options, conversion.bytes());
  if (!options.is_dry_run) write_conversion(conversion, *model.source.weights, options.destination, world);
  if (world.rank() == 0)
    write_standard_output(description(conversion, options, options.is_dry_run ? "would write" : "wrote"));
}

}  // namespace caravan::jobs
