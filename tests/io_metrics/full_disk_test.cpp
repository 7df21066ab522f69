#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/metrics/json_lines_sink.hpp"
#include "io/metrics/tensorboard_sink.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/io_metrics/event_reader.hpp"

namespace caravan::io {
namespace {

using ::testing::HasSubstr;

/// Files of this process end at so many bytes while this lives, as on a full disk (EFBIG in place of ENOSPC).
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

StepRecord record(std::int64_t step) {
  StepRecord made;
  made.step = step;
  made.set(metric::kLoss, 1.0 / 3.0);
  return made;
}

TEST(FullDisk, CostsRecordsAndOneWarningButNotTheRun) {
  test::TemporaryFolder folder;
  JsonLinesSink sink(folder.file("metrics.jsonl"), 1);
  for (std::int64_t step = 1; step <= 40; ++step) sink.write(record(step));
  const std::string expected = test::slurp(folder.file("metrics.jsonl"));

  ::testing::internal::CaptureStderr();
  {
    FullDisk full(expected.size() + 20);  // above what the captured warning needs: that is a file too
    for (std::int64_t step = 41; step <= 45; ++step) sink.write(record(step));
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  sink.write(record(46));

  const std::string all = test::slurp(folder.file("metrics.jsonl"));
  EXPECT_EQ(all.substr(0, expected.size()), expected);
  EXPECT_THAT(
      all.substr(expected.size()),
      ::testing::MatchesRegex(R"re(\{"step": 46, "wall_time_s": [0-9.]+, "loss": 0.3333333333333333\})re"
                              "\n"));
  EXPECT_THAT(log,
              HasSubstr("metrics.jsonl (File too large); records are lost until it can be written again"));
  EXPECT_EQ(log.find("records are lost"), log.rfind("records are lost")) << "one warning";
}

TEST(FullDisk, LeavesEventFilesReadable) {
  test::TemporaryFolder folder;
  TensorBoardSink sink(folder.path(), 1);
  ::testing::internal::CaptureStderr();
  {
    FullDisk full(100);
    for (std::int64_t step = 1; step <= 5; ++step) sink.write(record(step));
  }
  ::testing::internal::GetCapturedStderr();
  sink.write(record(6));

  const auto records = test::read_records(test::slurp(sink.path()));
  ASSERT_EQ(records.size(), 3u) << "version, session, step 6";
  EXPECT_EQ(test::Message(records.back()).numbers.find(2)->second, 6u);
}

}  // namespace
}  // namespace caravan::io
