#include "jobs/train/export.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/files/digest.hpp"
#include "io/files/file.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/convert/convert.hpp"
#include "jobs/setup/gather.hpp"

namespace caravan::jobs {
namespace {

/// A checkpoint of the weights needs no folder of its format.
std::string folder_of(ModelFormat format) {
  return format == ModelFormat::hdf5 ? "" : std::string(word_of(format)) + "/";
}

/// Which checkpoint an export is of, and how it was made. It lies beside the export, written first: an export
/// without it is none of this run's.
std::string record_path(const Job& job, std::int64_t step) {
  return export_path(job, step) + ".source";
}

std::string checkpoint_path(const Job& job, std::int64_t step) {
  return job.output + "/checkpoints/" + io::step_folder(step);
}

std::string record_of(const Job& job, std::int64_t step) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 30;
  const std::string manifest = io::read_text(checkpoint_path(job, step) + "/" + io::kManifestFile, kMost);
  return fmt::format("checkpoint {}\ndtype {}\n", io::digest_text(std::as_bytes(std::span(manifest))),
                     name_of(job.checkpoint.exported.dtype));
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::symlink_status(path, ignored).type() != std::filesystem::file_type::not_found;
}

bool is_of_checkpoint(const Job& job, std::int64_t step) {
  const std::string record = record_path(job, step);
  return std::filesystem::is_regular_file(record) && is_there(checkpoint_path(job, step)) &&
         io::read_text(record, 4096) == record_of(job, step);
}

}  // namespace

std::string export_path(const Job& job, std::int64_t step) {
  const ModelFormat format = job.checkpoint.exported.format.value_or(ModelFormat::hdf5);
  return job.output + "/export/" + folder_of(format) + io::step_folder(step) +
         (format == ModelFormat::safetensors ? ".safetensors" : "");
}

ExportState export_state(const Job& job, std::int64_t step, Communicator& world) {
  if (!is_true_anywhere(world, world.rank() == 0 && is_there(export_path(job, step))))
    return ExportState::absent;
  if (!job.checkpoint.exported.is_converted()) return ExportState::complete;
  const bool is_ours = is_true_anywhere(world, world.rank() == 0 && is_of_checkpoint(job, step));
  return is_ours ? ExportState::complete : ExportState::other;
}

void check_export_is_free(const Job& job, Communicator& world) {
  const std::int64_t step = job.train.steps;
  if (!job.checkpoint.exported.is_converted()) return;
  CARAVAN_CHECK(export_state(job, step, world) != ExportState::other, ConfigError,
                fmt::format("{} exists and is not what checkpoint.export={{format, dtype: {}}} makes of this "
                            "run's step {} (nothing is replaced). Remove it?",
                            export_path(job, step), name_of(job.checkpoint.exported.dtype), step));
}

void convert_export(const Job& job, std::int64_t step, Communicator& world, std::function<void()> report) {
  CARAVAN_EXPECT(job.checkpoint.exported.is_converted());
  ConvertOptions options;
  options.source = checkpoint_path(job, step);
  options.destination = export_path(job, step);
  options.to = *job.checkpoint.exported.format;
  options.dtype = job.checkpoint.exported.dtype;
  options.shard_bytes = bytes_from("5GB");
  if (world.rank() == 0) {
    std::filesystem::create_directories(std::filesystem::path(options.destination).parent_path());
    io::write_output(record_path(job, step), record_of(job, step));
  }
  world.barrier();
  write_converted(options, world, std::move(report));
}

}  // namespace caravan::jobs
