#include "jobs/train/export.hpp"

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "jobs/convert/convert.hpp"

namespace caravan::jobs {
namespace {

using Format = ExportRule::Format;

const char* folder_of(Format format) {
  switch (format) {
    case Format::hf:
      return "hf/";
    case Format::meta:
      return "meta/";
    case Format::safetensors:
      return "safetensors/";
    case Format::none:
    case Format::checkpoint:
      break;
  }
  return "";
}

ConvertOptions::To to(Format format) {
  if (format == Format::hf) return ConvertOptions::To::hf;
  return format == Format::meta ? ConvertOptions::To::meta : ConvertOptions::To::safetensors;
}

}  // namespace

std::string export_path(const Job& job, std::int64_t step) {
  const Format format = job.checkpoint.exported.format;
  return job.output + "/export/" + folder_of(format) + io::step_folder(step) +
         (format == Format::safetensors ? ".safetensors" : "");
}

void convert_export(const Job& job, std::int64_t step, Communicator& world) {
  CARAVAN_EXPECT(job.checkpoint.exported.is_converted());
  ConvertOptions options;
  options.source = job.output + "/checkpoints/" + io::step_folder(step);
  options.destination = export_path(job, step);
  options.to = to(job.checkpoint.exported.format);
  options.dtype = job.checkpoint.exported.dtype;
  options.shard_bytes = bytes_from("5GB");
  write_converted(options, world);
}

}  // namespace caravan::jobs
