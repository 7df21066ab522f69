#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "caravan/registry.hpp"
#include "caravan/schedule.hpp"
#include "core/plugin/open_plugin.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::StartsWith;

std::string directory(const std::string& mistake) {
  return fs::canonical(CARAVAN_BAD_PLUGINS).string() + "/" + mistake;
}

std::string file(const std::string& mistake) {
  return directory(mistake) + "/caravan-" + mistake + ".so";
}

std::string refusal(const std::string& mistake) {
  return message_of<PluginError>([&] { open_plugin(file(mistake)); });
}

/// A directory of this test alone, removed at its end.
class OwnDirectory {
 public:
  OwnDirectory() {
    std::string pattern = ::testing::TempDir() + "caravan-plugins-XXXXXX";
    path_ = fs::canonical(::mkdtemp(pattern.data())).string();
  }
  ~OwnDirectory() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const std::string kAbi = std::to_string(CARAVAN_ABI_MAJOR);

TEST(BadPlugin, AbiOld) {
  EXPECT_EQ(refusal("abi_old"), "plugin " + file("abi_old") + " uses plugin ABI 0 (this host speaks " + kAbi +
                                    "). Rebuild it against this installation's caravan SDK?");
}

TEST(BadPlugin, AbiNew) {
  EXPECT_EQ(refusal("abi_new"), "plugin " + file("abi_new") + " uses plugin ABI " +
                                    std::to_string(CARAVAN_ABI_MAJOR + 1) + " (this host speaks " + kAbi +
                                    "). Rebuild it against this installation's caravan SDK?");
}

TEST(BadPlugin, ShortStruct) {
  EXPECT_EQ(refusal("short_struct"), "plugin " + file("short_struct") + " has a manifest of 16 bytes (ABI " +
                                         kAbi +
                                         " has 72). Rebuild it against this "
                                         "installation's caravan SDK?");
}

TEST(BadPlugin, FingerprintNamesEveryDifferingKeyAndTheCure) {
  const std::string text = refusal("fingerprint");

  EXPECT_THAT(
      text,
      StartsWith("plugin " + file("fingerprint") +
                 " (bad 1.0.0) was built in an incompatible environment:\n    cuda: plugin 12, host none\n"
                 "    cxxabi: plugin none, host "));
  EXPECT_THAT(text, HasSubstr("\n    mpi: plugin none, host "));
  EXPECT_THAT(text, HasSubstr("\n    sdk: plugin 0.0.9+deadbeef, host "));
  EXPECT_THAT(text,
              ::testing::EndsWith("\n  Rebuild it with -DCaravan_DIR=<prefix>/lib/cmake/Caravan of this "
                                  "installation."));
}

TEST(BadPlugin, NoName) {
  EXPECT_EQ(refusal("no_name"),
            "plugin " + file("no_name") +
                " has a manifest without a fingerprint, name, version, license or summary. Use "
                "CARAVAN_PLUGIN(...)?");
}

TEST(BadPlugin, NoComponents) {
  EXPECT_EQ(refusal("no_components"),
            "plugin " + file("no_components") + " has 0 components (must be 1 to 256)");
}

TEST(BadPlugin, NoSymbol) {
  EXPECT_EQ(refusal("no_symbol"),
            "file " + file("no_symbol") +
                " is not a caravan plugin (no symbol caravan_plugin_v1). Does one of its sources "
                "use CARAVAN_PLUGIN(...)?");
}

TEST(BadPlugin, UndefinedSymbol) {
  EXPECT_EQ(refusal("undefined_symbol"), "cannot open plugin " + file("undefined_symbol") +
                                             ": undefined symbol: _Z28caravan_test_defined_nowherev. Is a "
                                             "library that it needs missing here (see ldd)?");
}

TEST(BadPlugin, NotElf) {
  EXPECT_EQ(refusal("not_elf"), "cannot open plugin " + file("not_elf") +
                                    ": file too short. Is a library that it needs missing here (see ldd)?");
}

TEST(BadPlugin, BadSchema) {
  EXPECT_EQ(refusal("bad_schema"),
            "plugin " + file("bad_schema") +
                " has a wrong schema: parameter 'width' of schedule 'nothing' has a default that "
                "it would refuse: built in: width=0 (must be > 0)");
}

TEST(BadPlugin, InterfaceVersion) {
  Registry registry({directory("interface_version")});

  EXPECT_EQ(message_of<PluginError>([&] { registry.create<Schedule>("nothing", Host{}, Config()); }),
            "schedule 'nothing' (plugin interface-version 1.0.0, " + file("interface_version") +
                ") has version 7 of the interface schedule (this program has 2). Rebuild the plugin?");
}

TEST(BadPlugin, DuplicateComponent) {
  Registry registry({directory("duplicate_component")});
  const std::string folder = directory("duplicate_component");

  EXPECT_EQ(message_of<PluginError>([&] { registry.find("schedule", "nothing"); }),
            "schedule 'nothing' is provided twice: by " + folder + "/caravan-duplicate-1.so and by " +
                folder + "/caravan-duplicate-2.so (which one is meant is unclear). Remove one?");
  EXPECT_TRUE(registry.opened().empty());
}

TEST(BadPlugin, WhatItThrowsKeepsTextAndExitCode) {
  Registry registry({directory("throws_in_create")});
  const auto thrown = [&](const char* what) -> std::pair<std::string, ExitCode> {
    try {
      Config config = Config::map();
      config.set("what", what);
      registry.create<Schedule>("throws", Host{}, config);
    } catch (const Error& error) {
      return {error.what(), error.exit_code()};
    }
    return {};
  };
  const std::string context =
      "\n  in schedule 'throws' (plugin throws-in-create 1.0.0, " + file("throws_in_create") + ")";

  EXPECT_EQ(thrown("io"),
            std::pair("the weights are truncated (12 of 40 bytes)" + context, ExitCode::bad_input));
  EXPECT_EQ(thrown("config"), std::pair("width=3 (must be even)" + context, ExitCode::wrong_use));
  EXPECT_EQ(thrown("standard"), std::pair("a plain exception" + context, ExitCode::failure));
  EXPECT_EQ(thrown("number"),
            std::pair("an exception that is no std::exception" + context, ExitCode::failure));
}

TEST(BadPlugin, WorldWritableDirectory) {
  OwnDirectory own;
  fs::copy(file("no_index"), own.path());
  ::chmod(own.path().c_str(), 0777);
  Registry registry({own.path()});

  EXPECT_EQ(message_of<PluginError>([&] { registry.find("schedule", "nothing"); }),
            "plugin directory " + own.path() +
                " can be written by everybody (so anybody could plant a plugin). chmod o-w " + own.path() +
                "?");
}

TEST(BadPlugin, DirectoryInsideAWorldWritableOne) {
  OwnDirectory own;
  const std::string inner = own.path() + "/plugins";
  fs::create_directory(inner);
  ::chmod(own.path().c_str(), 0777);
  Registry registry({inner});

  EXPECT_EQ(message_of<PluginError>([&] { registry.find("schedule", "nothing"); }),
            "plugin directory " + inner + " lies in " + own.path() +
                ", which everybody can write (so anybody could exchange it). chmod o-w " + own.path() + "?");
}

TEST(BadPlugin, WorldWritableFile) {
  OwnDirectory own;
  const std::string copy = own.path() + "/caravan-no_index.so";
  fs::copy(file("no_index"), copy);
  ::chmod(copy.c_str(), 0666);

  EXPECT_EQ(message_of<PluginError>([&] { open_plugin(copy); }),
            "plugin " + copy + " can be written by everybody (so anybody could change it). chmod o-w " +
                copy + "?");
}

TEST(BadPlugin, FileOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  OwnDirectory own;
  const std::string copy = own.path() + "/caravan-no_index.so";
  fs::copy(file("no_index"), copy);
  ASSERT_EQ(::chown(copy.c_str(), 12345, 12345), 0);

  EXPECT_EQ(message_of<PluginError>([&] { open_plugin(copy); }),
            "plugin " + copy +
                " belongs to user 12345 (must be root, user 0 or an account that CARAVAN_TRUSTED_USERS "
                "names). Install it yourself?");
}

/// CARAVAN_TRUSTED_USERS for one test.
class Trusting {
 public:
  explicit Trusting(const char* users) { ::setenv("CARAVAN_TRUSTED_USERS", users, 1); }
  ~Trusting() { ::unsetenv("CARAVAN_TRUSTED_USERS"); }
};

TEST(BadPlugin, FileOfAnAccountThatIsTrusted) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  OwnDirectory own;
  const std::string copy = own.path() + "/caravan-no_index.so";
  fs::copy(file("no_index"), copy);
  ASSERT_EQ(::chown(copy.c_str(), 1, 1), 0);  // Debian's daemon
  const auto refusal_with = [&](const char* users) {
    const Trusting trusting(users);
    return message_of<PluginError>([&] { open_plugin(copy); });
  };

  for (const char* users : {"1", "daemon", "4711,daemon", "nobody,1,"})
    EXPECT_EQ(refusal_with(users), "") << users;
  for (const char* users : {"", ",", "2", "nobody,12345"})
    EXPECT_THAT(refusal_with(users), HasSubstr("belongs to user 1 (must be root")) << users;
  for (const char* users : {"deamon", "4294967295", "-1", "01", "0x1", "1;2", " 1"})
    EXPECT_THAT(refusal_with(users), HasSubstr("CARAVAN_TRUSTED_USERS has '" + std::string(users) +
                                               "' (no account of this machine)"));
  ::chmod(copy.c_str(), 0666);
  EXPECT_THAT(refusal_with("1"), HasSubstr("can be written by everybody"));
}

TEST(BadPlugin, LinkOutOfTheDirectoryToAnotherUsersFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  const Trusting trusting("12345");
  OwnDirectory own, elsewhere;
  const std::string target = elsewhere.path() + "/caravan-no_index.so",
                    link = own.path() + "/caravan-no_index.so";
  fs::copy(file("no_index"), target);
  fs::create_symlink(target, link);
  const auto refusal_of_link = [&] {
    Registry registry({own.path()});
    return message_of<PluginError>([&] { registry.find("schedule", "nothing"); });
  };

  EXPECT_EQ(refusal_of_link(), "") << "root's own file may be linked";
  ASSERT_EQ(::chown(target.c_str(), 12345, 12345), 0);
  EXPECT_EQ(refusal_of_link(), "plugin " + link + " is a link out of its folder to " + target +
                                   " of user 12345 (only links to your own and root's files are followed). "
                                   "Install a copy?");
}

TEST(BadPlugin, BareNamesAreNeverLookedUp) {
  EXPECT_EQ(
      message_of<PluginError>([] { open_plugin("caravan-schedule-1f1b.so"); }),
      "plugin path 'caravan-schedule-1f1b.so' is not absolute (a bare name would be looked up elsewhere)");
}

}  // namespace
}  // namespace caravan
