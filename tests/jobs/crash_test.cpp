#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;

/// Plugins that end the process while they are opened or create something.
class CrashingPlugin : public JobTest {
 protected:
  static std::string folder(const std::string& mistake) {
    return std::filesystem::canonical(CARAVAN_BAD_PLUGINS).string() + "/" + mistake;
  }
  Outcome schedule(const std::string& mistake, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "schedule");
    arguments.insert(arguments.end(), {"--ranks", "2", "--microbatches", "2"});
    return run({std::move(arguments), 0, {{"CARAVAN_PLUGIN_PATH", folder(mistake)}}, 60});
  }
};

TEST_F(CrashingPlugin, IsNamedWithItsComponentAndDiesOfItsSignal) {
  const std::string scope =
      "  creating schedule 'crashes' (plugin crashes 1.0.0, " + folder("crashes") + "/caravan-crashes.so)\n";
  const std::tuple<const char*, int, const char*> ends[] = {{"memory", SIGSEGV, "SIGSEGV"},
                                                            {"abort", SIGABRT, "SIGABRT"},
                                                            {"terminate", SIGABRT, "SIGABRT"},
                                                            {"division", SIGFPE, "SIGFPE"},
                                                            {"stack", SIGSEGV, "SIGSEGV"}};
  for (const auto& [how, signal, name] : ends) {
    const Outcome outcome = schedule("crashes", {"crashes", std::string("how=") + how});
    EXPECT_EQ(outcome.signal, signal) << how << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(std::string("caravan: ended by ") + name + " while\n" + scope)) << how;
  }
}

TEST_F(CrashingPlugin, ThatCallsExitMakesNoSuccessOfIt) {
  const Outcome outcome = schedule("crashes", {"crashes", "how=exit"});
  EXPECT_TRUE(ended_with(outcome, 1));
  EXPECT_THAT(outcome.err, HasSubstr("ended by a call of exit() while\n  creating schedule 'crashes'"));
}

TEST_F(CrashingPlugin, IsNamedWhenItCrashesAsItIsOpened) {
  const Outcome outcome = schedule("crashes_when_opened", {"nothing"});
  EXPECT_EQ(outcome.signal, SIGABRT);
  EXPECT_THAT(outcome.err, HasSubstr("opening plugin " + folder("crashes_when_opened") +
                                     "/caravan-crashes_when_opened.so (its static constructors run)\n"));
}

TEST_F(CrashingPlugin, IsNamedByRanksUnderALauncher) {
  Command command = train(job(kMiniJob), "run", 2, {"parallel.pipeline=2", "parallel.schedule=crashes"});
  command.environment["CARAVAN_PLUGIN_PATH"] = folder("crashes");
  const Outcome outcome = run(command);
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err,
              HasSubstr("ended by SIGSEGV while\n  creating schedule 'crashes' (plugin crashes"));
}

}  // namespace
}  // namespace caravan::test
