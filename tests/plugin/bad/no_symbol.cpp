int caravan_test_unused() {
  return 1;
}
