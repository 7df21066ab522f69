#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>

// Every test runs on every rank; rank 0 prints; the exit code is the worst of all ranks.
int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  ::testing::InitGoogleTest(&argc, argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (rank != 0) delete listeners.Release(listeners.default_result_printer());
  int mine = RUN_ALL_TESTS(), worst = 0;
  if (mine != 0 && rank != 0) fprintf(stderr, "[rank %d] tests failed\n", rank);
  MPI_Allreduce(&mine, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return worst;
}
